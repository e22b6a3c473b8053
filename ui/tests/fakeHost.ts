// A host whose every answer the test chooses, for the screens' own tests.

import {
  HostError,
  type Address,
  type ApiAnswer,
  type ApiRequest,
  type BoardOrder,
  type Boards,
  type Command,
  type Controller,
  type Credentials,
  type Description,
  type FirstAccount,
  type FleetSnapshot,
  type Host,
  type HostEvent,
  type Identity,
  type LinkStatus,
  type Point,
  type SerialPort,
  type Session,
} from '../src/lib/host/types';

export const SESSION: Session = { account: 'li', role: 2, address: 0xc000_0001, gateway: 'yard.example' };

export function point(index: number, name: string, type: number, value: number, flags = 0): Point {
  return { index, name, type, value, flags, cause: { kind: 0, by: null, reference: null } };
}

export function controller(address: Address, title: string, points: Point[] = [], rest: Partial<Controller> = {}): Controller {
  return {
    address,
    title,
    online: true,
    since: Date.now() - 14_000,
    offlineReason: null,
    boot: 7,
    sequence: 10,
    software: null,
    board: null,
    features: null,
    heardAt: Date.now(),
    points,
    ...rest,
  };
}

export class FakeHost implements Host {
  kind: 'page' | 'desktop' = 'page';
  gateway: string | null = null;
  serialPorts: (() => Promise<SerialPort[]>) | null = null;
  boards: Boards | null = null;
  countAlarms: Host['countAlarms'] = null;
  current: Session | null = SESSION;
  controllers: Controller[] = [];
  description: Description = { behaviour: 'latching output', commands: [] };
  password = 'secret';
  /** Of the second factor; null where there is none. */
  code: string | null = null;
  /** Of a gateway without an account; null where there is one. */
  setupCode: string | null = null;
  setUpFault: string | null = null;
  readonly made: FirstAccount[] = [];
  linkStatus: LinkStatus = { state: 'live', retryInMs: null, code: null };
  sendFault: string | null = null;
  logOutFault: string | null = null;
  readonly sent: Command[] = [];
  readonly notes: { address: Address; text: string }[] = [];
  /** Nobody answers at this number. */
  absent: Address | null = null;
  readonly loggedIn: Credentials[] = [];
  private readonly listeners = new Set<(event: HostEvent) => void>();

  session(): Promise<Session | null> {
    return Promise.resolve(this.current);
  }

  logIn(credentials: Credentials): Promise<Session> {
    this.loggedIn.push(credentials);
    if (credentials.password !== this.password) return Promise.reject(new HostError({ code: 'bad_credentials', message: 'no' }));
    if (this.setupCode !== null) return Promise.reject(new HostError({ code: 'bad_credentials', message: 'no' }));
    if (this.code !== null && credentials.code !== this.code) {
      return Promise.reject(new HostError({ code: credentials.code === null ? 'code_needed' : 'bad_credentials', message: 'no' }));
    }
    return Promise.resolve(SESSION);
  }

  isSetupNeeded(): Promise<boolean> {
    return Promise.resolve(this.setupCode !== null);
  }

  setUp(first: FirstAccount): Promise<Session> {
    const fault = first.setupCode === this.setupCode ? this.setUpFault : 'bad_setup_code';
    if (fault !== null) return Promise.reject(new HostError({ code: fault, message: 'no' }));
    this.made.push(first);
    this.setupCode = null;
    return Promise.resolve(SESSION);
  }

  logOut(): Promise<void> {
    if (this.logOutFault !== null) return Promise.reject(new HostError({ code: this.logOutFault, message: 'no' }));
    return Promise.resolve();
  }

  fleet(): Promise<FleetSnapshot> {
    return Promise.resolve({ synced: true, controllers: this.controllers });
  }

  link(): Promise<LinkStatus> {
    return Promise.resolve(this.linkStatus);
  }

  send(command: Command): Promise<void> {
    if (this.sendFault !== null) return Promise.reject(new HostError({ code: this.sendFault, message: 'no' }));
    this.sent.push(command);
    return Promise.resolve();
  }

  describe(): Promise<Description> {
    return Promise.resolve(this.description);
  }

  identify(address: Address): Promise<Identity> {
    if (address === this.absent) return Promise.reject(new HostError({ code: 'offline', message: 'no' }));
    return Promise.resolve({ title: 'wang', software: 'switchyard 0.1.0', peerKind: 2 });
  }

  holder(): Promise<string> {
    return Promise.resolve('wang');
  }

  /** What answers the HTTP API; null has none of it. */
  answer: ((request: ApiRequest, account: string) => Promise<ApiAnswer>) | null = null;

  api(request: ApiRequest): Promise<ApiAnswer> {
    if (this.answer === null) return Promise.reject(new HostError({ code: 'not_found', message: 'no such thing' }));
    return this.answer(request, this.current?.account ?? SESSION.account);
  }

  sendNote(address: Address, text: string): Promise<void> {
    this.notes.push({ address, text });
    return Promise.resolve();
  }

  /** A bench that takes orders; with a fault, it refuses those that do not say `offMains`. */
  withBench(fault: string | null = null): BoardOrder[] {
    const ordered: BoardOrder[] = [];
    this.serialPorts = () => Promise.resolve([]);
    this.boards = {
      state: () => Promise.resolve(null),
      install: (order) => {
        if (fault !== null && !order.offMains) return Promise.reject(new HostError({ code: fault, message: 'no' }));
        ordered.push(order);
        return Promise.resolve();
      },
      stop: () => Promise.resolve(),
    };
    return ordered;
  }

  listen(listener: (event: HostEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(event: HostEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}
