// The state that all screens share: one host's session, link, fleet, receipts and notes, made reactive. Controllers
// are replaced whole and read by address, so that a change redraws the rows that it concerns and no others.

import { SvelteMap, SvelteSet } from 'svelte/reactivity';
import type { Asked } from './asked';
import { mergePoints } from './host/fleetState';
import { newKey } from './host/hex';
import type {
  Action,
  Address,
  BoardState,
  Cause,
  Controller,
  Credentials,
  FirstAccount,
  FleetChange,
  Host,
  HostEvent,
  LinkStatus,
  Note,
  Point,
  Receipt,
  Session,
} from './host/types';
import { HostError } from './host/types';
import { Role, Stage } from './protocol/registry';
import { isDigital } from './points';
import { plain, texts } from './texts';

/** Changes that are remembered per controller, for its "why" list. */
export const CHANGES_KEPT_MAX = 60;
/** Commands that are remembered, of all controllers together. */
export const COMMANDS_KEPT_MAX = 256;
export const NOTES_KEPT_MAX = 5;
/** Names of other tools that are remembered. */
export const TOOLS_KEPT_MAX = 256;
/** How long a command may take to be executed; a person stands before the button and waits. */
export const COMMAND_EXPIRES_IN_MS = 15_000;
/** How long a row that came after the first snapshot is marked as new. */
const NEW_FOR_MS = 10_000;

export interface Change {
  id: number;
  at: number;
  point: string;
  type: number;
  value: number;
  cause: Cause;
}

export interface SeenNote extends Note {
  id: number;
}

function isSameCause(one: Cause, other: Cause): boolean {
  return one.kind === other.kind && one.by === other.by && one.reference === other.reference;
}

function asFault(error: unknown): HostError {
  return error instanceof HostError ? error : new HostError({ code: 'internal', message: String(error) });
}

export type Yard = ReturnType<typeof createYard>;

export function createYard(host: Host) {
  let ready = $state(false);
  let session = $state.raw<Session | null>(null);
  let link = $state.raw<LinkStatus & { since: number }>({ state: 'closed', retryInMs: null, code: null, since: Date.now() });
  /** When the link was live for the last time, while it is not: nothing on view is younger. */
  let liveUntil = $state<number | null>(null);
  let synced = $state(false);
  let addresses = $state.raw<readonly Address[]>([]);
  let notes = $state.raw<readonly SeenNote[]>([]);
  let now = $state(Date.now());
  let startFault = $state.raw<HostError | null>(null);
  /** A log-out that the gateway did not hear of: the session may live on there. */
  let logOutFault = $state.raw<HostError | null>(null);
  /** The gateway whose first account is to be made; null where there is nothing of that kind to do. */
  let setupAt = $state<string | null>(null);
  /** What a log-in is to be tried at; null where there is no choice. */
  let suggestedGateway = $state(host.gateway);
  /** The board on the bench, or the last one until somebody puts it away. */
  let board = $state.raw<BoardState | null>(null);
  const controllers = new SvelteMap<Address, Controller>();
  const appeared = new SvelteMap<Address, number>();
  /** Not heard of since the link came back: on view as they were last seen, and nothing is certain. */
  const unconfirmed = new SvelteSet<Address>();
  const changes = new SvelteMap<Address, readonly Change[]>();
  const asked = new SvelteMap<string, Asked>();
  const tools = new SvelteMap<Address, string>();
  /** A page is given another address by a gateway that was restarted; what it did under the old one stays its own. */
  const own = new SvelteSet<Address>();
  /** Where a key's command is shown. */
  const slots = new Map<string, string>();
  let lastId = 0;

  function place(address: Address, what: string): string {
    return `${address}/${what}`;
  }

  function remember(controller: Controller, point: Point, at: number): void {
    const list = changes.get(controller.address) ?? [];
    const { name, type, value, cause } = point;
    // What ramps or drifts is one line that goes on, in its place among others that do: it must not push out the rest.
    const before = isDigital(point) ? -1 : list.findIndex((each) => each.point === name);
    const known = list[before];
    const goesOn = known !== undefined && isSameCause(known.cause, cause);
    const change: Change = { id: goesOn ? known.id : ++lastId, at, point: name, type, value, cause };
    if (goesOn && list.slice(0, before).every((each) => !isDigital(each))) {
      changes.set(controller.address, list.with(before, change));
    } else {
      const others = goesOn ? list.filter((each) => each !== known) : list;
      changes.set(controller.address, [change, ...others].slice(0, CHANGES_KEPT_MAX));
    }
    if (cause.by !== null && !own.has(cause.by)) learnName(cause.by);
  }

  function put(controller: Controller): void {
    const known = controllers.get(controller.address);
    controllers.set(controller.address, controller);
    // Presence alone leaves the points as they were.
    if (link.state === 'live' && known?.points !== controller.points) unconfirmed.delete(controller.address);
    if (known === undefined) {
      addresses = [...addresses, controller.address].sort((a, b) => a - b);
      if (synced) appeared.set(controller.address, Date.now());
    }
    // What changed while nobody looked is told too, with the cause that the status bears.
    for (const point of controller.points) {
      const before = known?.points.find((each) => each.index === point.index);
      if (before !== undefined && before.value !== point.value) remember(controller, point, controller.heardAt ?? Date.now());
    }
  }

  function apply(change: FleetChange): void {
    switch (change.kind) {
      case 'controller':
        put(change.controller);
        break;
      case 'points': {
        const known = controllers.get(change.address);
        if (known?.boot !== change.boot || known.sequence === null) return;
        // What the snapshot contained already may be told again.
        if (((change.sequence - known.sequence) | 0) <= 0) return;
        const points = mergePoints(known.points, change.points);
        if (points === null) return;
        const controller = { ...known, sequence: change.sequence, heardAt: change.at, points };
        controllers.set(change.address, controller);
        unconfirmed.delete(change.address);
        for (const point of points) {
          const before = known.points.find((each) => each.index === point.index);
          if (before !== undefined && before.value !== point.value) remember(controller, point, change.at);
        }
        break;
      }
      case 'gone':
        addresses = addresses.filter((address) => address !== change.address);
        controllers.delete(change.address);
        appeared.delete(change.address);
        changes.delete(change.address);
        unconfirmed.delete(change.address);
        break;
      case 'synced':
        synced = true;
        unconfirmed.clear();
        break;
    }
  }

  function applyAll(batch: readonly FleetChange[]): void {
    // A snapshot's rows are sorted in once, not once each.
    const fresh = new Set<Address>();
    for (const change of batch) {
      if (change.kind === 'controller' && !controllers.has(change.controller.address)) fresh.add(change.controller.address);
    }
    if (fresh.size > 1) {
      addresses = [...addresses, ...fresh].sort((a, b) => a - b);
      for (const change of batch) {
        if (change.kind === 'controller' && fresh.delete(change.controller.address)) {
          controllers.set(change.controller.address, change.controller);
          if (synced) appeared.set(change.controller.address, Date.now());
        } else apply(change);
      }
    } else for (const change of batch) apply(change);
  }

  function takeReceipt(receipt: Receipt): void {
    const slot = slots.get(receipt.key);
    const command = slot === undefined ? undefined : asked.get(slot);
    if (slot === undefined || command === undefined || command.key !== receipt.key) return;
    // Late news never undoes an end, and stages only go forward.
    if (command.final || (receipt.stage < command.stage && !receipt.final)) return;
    const { stage, reason, final } = receipt;
    const detail = receipt.detail === null ? null : plain(receipt.detail);
    asked.set(slot, { ...command, stage, reason, detail, final });
  }

  function forget(): void {
    synced = false;
    addresses = [];
    notes = [];
    board = null;
    controllers.clear();
    appeared.clear();
    unconfirmed.clear();
    changes.clear();
    asked.clear();
    slots.clear();
    tools.clear();
    own.clear();
  }

  function takeSession(next: Session | null): void {
    if (next === null || (session !== null && session.account !== next.account)) forget();
    session = next;
    if (next?.address != null) {
      if (own.size >= TOOLS_KEPT_MAX) own.clear();
      own.add(next.address);
    }
  }

  function take(event: HostEvent): void {
    switch (event.kind) {
      case 'fleet':
        applyAll(event.changes);
        break;
      case 'receipt':
        takeReceipt(event.receipt);
        break;
      case 'note':
        notes = [{ ...event.note, text: plain(event.note.text), id: ++lastId }, ...notes].slice(0, NOTES_KEPT_MAX);
        learnName(event.note.from);
        break;
      case 'link':
        if (link.state === 'live' && event.link.state !== 'live') {
          liveUntil = Date.now();
          for (const address of addresses) unconfirmed.add(address);
        }
        link = { ...event.link, since: Date.now() };
        now = Date.now();
        break;
      case 'session':
        takeSession(event.session);
        break;
      case 'board':
        board = event.board;
        break;
    }
  }

  async function loadFleet(): Promise<void> {
    const [snapshot, status] = await Promise.all([host.fleet(), host.link()]);
    link = { ...status, since: Date.now() };
    // Events may have come while the snapshot was on its way: newer knowledge stays.
    const older = snapshot.controllers.filter((controller) => {
      const known = controllers.get(controller.address);
      if (known === undefined) return true;
      if (known.boot !== controller.boot || known.sequence === null || controller.sequence === null) return known.sequence === null;
      return ((controller.sequence - known.sequence) | 0) > 0;
    });
    applyAll(older.map((controller) => ({ kind: 'controller', controller })));
    // The desktop knows a fleet already while its link is away.
    if (status.state !== 'live') for (const { address } of older) unconfirmed.add(address);
    else if (snapshot.synced) unconfirmed.clear();
    if (snapshot.synced) synced = true;
  }

  async function start(): Promise<void> {
    try {
      takeSession(await host.session());
      if (session !== null) {
        await loadFleet();
        const known = (await host.boards?.state()) ?? null;
        // Events are younger than what was asked for.
        board ??= known;
      }
      // Where there is a choice of gateways, the one that somebody wants is not known yet.
      else if (host.gateway === null) await lookForSetup('');
      startFault = null;
    } catch (error) {
      startFault = asFault(error);
    }
    ready = true;
  }

  /** A gateway that does not tell is taken to have accounts: it may be older than this page. */
  async function lookForSetup(gateway: string): Promise<void> {
    const needed = await host.isSetupNeeded(gateway).catch(() => false);
    setupAt = needed ? gateway : null;
  }

  async function enter(asking: Promise<Session>): Promise<void> {
    forget();
    takeSession(await asking);
    startFault = null;
    logOutFault = null;
    setupAt = null;
    await loadFleet();
  }

  async function logIn(credentials: Credentials): Promise<void> {
    if (suggestedGateway !== null) suggestedGateway = credentials.gateway;
    try {
      await enter(host.logIn(credentials));
    } catch (error) {
      // Nobody can be right where there is no account.
      if (asFault(error).code === 'bad_credentials') await lookForSetup(credentials.gateway);
      throw error;
    }
  }

  async function setUp(first: FirstAccount): Promise<void> {
    try {
      await enter(host.setUp(first));
    } catch (error) {
      const fault = asFault(error);
      // Somebody was faster: what is left to do is to log in.
      if (fault.code === 'already_set_up') {
        startFault = fault;
        setupAt = null;
      }
      throw error;
    }
  }

  async function logOut(): Promise<void> {
    try {
      await host.logOut();
      logOutFault = null;
    } catch (error) {
      const fault = asFault(error);
      logOutFault = fault.code === 'not_logged_in' ? null : fault;
    }
    takeSession(null);
  }

  async function send(address: Address, what: string, action: Action): Promise<void> {
    const slot = place(address, what);
    const key = newKey();
    const before = asked.get(slot);
    if (before !== undefined) slots.delete(before.key);
    slots.set(key, slot);
    asked.delete(slot); // Set anew, so that the map's order is that of asking.
    const command: Asked = { key, action, stage: 0, reason: null, fault: null, detail: null, final: false, askedAt: Date.now() };
    asked.set(slot, command);
    for (const [oldSlot, old] of asked) {
      if (asked.size <= COMMANDS_KEPT_MAX) break;
      asked.delete(oldSlot);
      slots.delete(old.key);
    }
    try {
      await host.send({ key, address, action, expiresInMs: COMMAND_EXPIRES_IN_MS, wait: false });
    } catch (error) {
      if (asked.get(slot)?.key !== key) return;
      asked.set(slot, { ...command, stage: Stage.refused, fault: asFault(error).code, final: true });
    }
  }

  /** A note gets no answer, so who is there is asked first. */
  async function sendNote(address: Address, text: string): Promise<void> {
    learnName(address);
    await host.identify(address);
    await host.sendNote(address, text);
  }

  /** Whether a controller is on line, as far as anybody can know now. */
  function isHere(controller: Controller): boolean {
    return controller.online && link.state === 'live' && !unconfirmed.has(controller.address);
  }

  /** Asks the gateway for whom a tool acts, once; until then, and without an answer, it goes by its number. */
  function learnName(address: Address): void {
    if (tools.has(address) || tools.size >= TOOLS_KEPT_MAX) return;
    tools.set(address, '');
    host.holder(address).then(
      (account) => tools.set(address, account),
      () => undefined, // The gateway may have forgotten it; its number remains.
    );
  }

  return {
    host,
    get ready() {
      return ready;
    },
    get session() {
      return session;
    },
    get link() {
      return link;
    },
    get liveUntil() {
      return liveUntil;
    },
    get synced() {
      return synced;
    },
    get addresses() {
      return addresses;
    },
    get notes() {
      return notes;
    },
    get now() {
      return now;
    },
    get startFault() {
      return startFault;
    },
    get logOutFault() {
      return logOutFault;
    },
    get setupAt() {
      return setupAt;
    },
    get suggestedGateway() {
      return suggestedGateway;
    },
    get board() {
      return board;
    },
    putBoardAway: (): void => {
      board = null;
    },
    controller: (address: Address): Controller | undefined => controllers.get(address),
    changes: (address: Address): readonly Change[] => changes.get(address) ?? [],
    asked: (address: Address, what: string): Asked | undefined => asked.get(place(address, what)),
    isOwn: (address: Address): boolean => own.has(address),
    toolName: (address: Address): string | null => tools.get(address) || null,
    /** `wang (No. 2147483655)`, or the number alone. */
    toolLabel: (address: Address): string => {
      const name = tools.get(address) || null;
      return name === null ? texts.number(address) : `${name} (${texts.number(address)})`;
    },
    isNew: (address: Address): boolean => {
      const at = appeared.get(address);
      return at !== undefined && now - at < NEW_FOR_MS;
    },
    isHere,
    /** Whether what is shown of a controller is what is so now. */
    isFresh: (controller: Controller): boolean => isHere(controller) && controller.heardAt !== null,
    /** Why nothing can be commanded here; null where it can. */
    hindrance: (controller: Controller): 'role' | 'link' | 'offline' | 'reading' | null => {
      if ((session?.role ?? 0) < Role.operator) return 'role';
      if (link.state !== 'live') return 'link';
      if (!controller.online) return 'offline';
      // A switch turns what is shown into its opposite: it must not act on what may be old.
      return unconfirmed.has(controller.address) ? 'reading' : null;
    },
    dismiss: (id: number): void => {
      notes = notes.filter((note) => note.id !== id);
    },
    start,
    logIn,
    setUp,
    leaveSetup: (): void => {
      setupAt = null;
    },
    logOut,
    send,
    sendNote,
    take,
    /** Listens to the host and lets the clock run; returns what ends both. */
    attach: (): (() => void) => {
      const stop = host.listen(take);
      const clock = setInterval(() => (now = Date.now()), 1_000);
      return () => {
        stop();
        clearInterval(clock);
      };
    },
  };
}
