//! How the compiler's child locks itself in: what it has open, what it may spend, what it may ask of
//! the system. Nothing of this can be taken back by the process that has done it.

use std::fmt;

/// What it may spend and ask for. Each bound is far above what the largest script takes, and far below
/// what the gateway would miss.
#[cfg(target_os = "linux")]
mod bound {
    /// A script of 8 KB takes a few milliseconds; a second is the least that the system counts.
    pub(super) const CPU_SECONDS: u64 = 1;
    /// Heap and writable data. The compiler itself takes 20 KB, its program 8 KB.
    pub(super) const DATA_BYTES: u64 = 32 << 20;
    /// The compiler has no recursion; what serialises its result has little.
    pub(super) const STACK_BYTES: u64 = 1 << 20;
    /// All that is mapped: the gateway's own program is most of it.
    pub(super) const ADDRESS_SPACE_BYTES: u64 = 512 << 20;
    /// As `priority` has it, behind everything that the gateway does for people who wait.
    pub(super) const NICENESS: i32 = 19;
}

/// What the system refused.
#[derive(Debug)]
pub(super) struct Unconfined(String);

impl fmt::Display for Unconfined {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "nothing is tried there")
)]
fn refused(what: &str) -> impl FnOnce(&dyn fmt::Display) -> Unconfined {
    move |error| Unconfined(format!("{what}: {error}"))
}

/// Closes what the parent may have left open and bounds what this process can spend. Comes first, so
/// that the script is read under these bounds already.
#[cfg(target_os = "linux")]
pub(super) fn bound_resources() -> Result<(), Unconfined> {
    use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
    close_all_but_standard()?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| refused("cannot give up new privileges")(&error))?;
    setpriority_process(None, bound::NICENESS)
        .map_err(|error| refused("cannot give way to others")(&error))?;
    for (resource, most) in [
        (Resource::Cpu, bound::CPU_SECONDS),
        (Resource::Data, bound::DATA_BYTES),
        (Resource::Stack, bound::STACK_BYTES),
        (Resource::As, bound::ADDRESS_SPACE_BYTES),
        // What it has open stays open; there is nothing more to open, write, dump or start.
        (Resource::Nofile, 0),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nproc, 0),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)
            .map_err(|error| refused("cannot bound its resources")(&error))?;
    }
    Ok(())
}

/// Everything that the gateway opens is closed on `exec`. This is for what it was started with and
/// does not know of, and for the next one who forgets.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "descriptors are closed that nobody owns here")]
fn close_all_but_standard() -> Result<(), Unconfined> {
    // SAFETY: the program has just begun and runs one thread, which has opened nothing: whatever lies
    // behind the three standard descriptors belongs to no value of this process.
    let answer = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if answer != 0 {
        let error = std::io::Error::last_os_error();
        return Err(refused("cannot close what it inherited (Linux 5.9 can)")(
            &error,
        ));
    }
    Ok(())
}

/// From here on any system call but a few ends the process: memory for itself, writing to the two
/// descriptors that its parent holds, and ending. It cannot even read.
#[cfg(target_os = "linux")]
pub(super) fn forbid_system_calls() -> Result<(), Unconfined> {
    let program = filter().map_err(|error| refused("cannot write a seccomp filter")(&error))?;
    seccompiler::apply_filter(&program)
        .map_err(|error| refused("this kernel takes no seccomp filter")(&error))
}

#[cfg(target_os = "linux")]
fn filter() -> Result<seccompiler::BpfProgram, seccompiler::BackendError> {
    use seccompiler::{
        SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule,
    };
    let equals =
        |argument, value: u64| SeccompCondition::new(argument, Dword, SeccompCmpOp::Eq, value);
    let has_not =
        |argument, bit: u64| SeccompCondition::new(argument, Dword, SeccompCmpOp::MaskedEq(bit), 0);
    let executable = libc::PROT_EXEC.cast_unsigned().into();
    let anonymous: u64 = libc::MAP_ANONYMOUS.cast_unsigned().into();
    let mut rules = vec![
        (
            libc::SYS_write,
            vec![
                SeccompRule::new(vec![equals(0, 1)?])?,
                SeccompRule::new(vec![equals(0, 2)?])?,
            ],
        ),
        (
            libc::SYS_mmap,
            vec![SeccompRule::new(vec![
                has_not(2, executable)?,
                SeccompCondition::new(3, Dword, SeccompCmpOp::MaskedEq(anonymous), anonymous)?,
            ])?],
        ),
        // How it ends when memory runs out: by a signal to itself, and to nobody else.
        (
            libc::SYS_tgkill,
            vec![SeccompRule::new(vec![
                equals(0, std::process::id().into())?,
                equals(2, libc::SIGABRT.cast_unsigned().into())?,
            ])?],
        ),
    ];
    for harmless in [
        // Memory that it has already.
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        // How a process ends, well or by a signal.
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
    ] {
        rules.push((harmless, Vec::new()));
    }
    SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}

/// Other systems have nothing that would hold as well.
#[cfg(not(target_os = "linux"))]
pub(super) fn bound_resources() -> Result<(), Unconfined> {
    Err(Unconfined("only Linux can lock it in".to_owned()))
}

/// Not reached: see `bound_resources`.
#[cfg(not(target_os = "linux"))]
pub(super) fn forbid_system_calls() -> Result<(), Unconfined> {
    bound_resources()
}
