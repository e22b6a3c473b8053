/*
 * start.S: the first instructions, and what happens at an exception. See link.ld for the places.
 *
 * QEMU's LX106 begins at 0x50000000 with everything in its place already: the ELF file was loaded.
 * An exception is always a fault of ours, for no interrupt is enabled: it is reported, and the run
 * ends.
 */
    .section .reset.text, "ax"
    .global fw_reset
fw_reset:
    j       begin
    .align  4
    .literal_position
begin:
    movi    a1, fw_stack_top
    movi    a2, fw_vectors
    wsr     a2, vecbase
    isync
    movi    a0, 0
    movi    a2, fw_begin
    jx      a2

/* Kernel, user and double exceptions arrive at these offsets, on the stack of whatever failed. */
    .section .vectors.text, "ax"
    .global fw_vectors
    .align  16
fw_vectors:
    .org    0x30
    j       fault
    .org    0x50
    j       fault
    .org    0x70
    j       fault
    .org    0x80
    .align  4
    .literal_position
fault:
    movi    a1, fw_stack_top
    rsr     a2, exccause
    rsr     a3, epc1
    rsr     a4, excvaddr
    movi    a5, fw_fault
    jx      a5
