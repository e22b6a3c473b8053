// The desktop's host: everything is asked of the Rust half over Tauri's bridge; see README.md here for the commands
// and events. The only file of the page that knows Tauri.

import { invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';
import type { ApiCall } from '../bindings/ApiCall';
import {
  HostError,
  type Address,
  type ApiAnswer,
  type ApiRequest,
  type BoardOrder,
  type Boards,
  type BoardState,
  type Command,
  type Credentials,
  type Description,
  type FirstAccount,
  type FleetChange,
  type FleetSnapshot,
  type Host,
  type HostEvent,
  type Identity,
  type Language,
  type LinkStatus,
  type Note,
  type Receipt,
  type SerialPort,
  type Session,
} from './types';

/** Where the last gateway is remembered between starts; a convenience, and no secret. */
const GATEWAY_STORED = 'switchyard.gateway';

async function call<T>(command: string, fields: Record<string, unknown> = {}): Promise<T> {
  try {
    return await invoke<T>(command, fields);
  } catch (error) {
    throw asHostError(error);
  }
}

/** Rust's commands fail with `{ code, message }`, the bridge itself with a text. */
export function asHostError(error: unknown): HostError {
  if (typeof error === 'object' && error !== null && 'code' in error && 'message' in error) {
    return new HostError({ code: String(error.code), message: String(error.message) });
  }
  return new HostError({ code: 'internal', message: String(error) });
}

class TauriHost implements Host {
  readonly kind = 'desktop';
  readonly gateway: string;

  private readonly listeners = new Set<(event: HostEvent) => void>();

  constructor() {
    this.gateway = localStorage.getItem(GATEWAY_STORED) ?? '';
  }

  /** Subscribes to the bridge's events, before anything is asked, so that none is missed. */
  async attach(): Promise<void> {
    await Promise.all([
      listen<FleetChange[]>('fleet-changed', ({ payload }) => this.emit({ kind: 'fleet', changes: payload })),
      listen<Receipt>('receipt', ({ payload }) => this.emit({ kind: 'receipt', receipt: payload })),
      listen<Note>('note', ({ payload }) => this.emit({ kind: 'note', note: payload })),
      listen<LinkStatus>('link', ({ payload }) => this.emit({ kind: 'link', link: payload })),
      listen<Session | null>('session', ({ payload }) => this.emit({ kind: 'session', session: payload })),
      listen<BoardState>('board', ({ payload }) => this.emit({ kind: 'board', board: payload })),
    ]);
  }

  session(): Promise<Session | null> {
    return call('session');
  }

  async logIn(credentials: Credentials): Promise<Session> {
    const session = await call<Session>('log_in', { ...credentials });
    localStorage.setItem(GATEWAY_STORED, credentials.gateway);
    return session;
  }

  isSetupNeeded(gateway: string): Promise<boolean> {
    return call('is_setup_needed', { gateway });
  }

  async setUp(first: FirstAccount): Promise<Session> {
    const session = await call<Session>('set_up', { ...first });
    localStorage.setItem(GATEWAY_STORED, first.gateway);
    return session;
  }

  logOut(): Promise<void> {
    return call('log_out');
  }

  fleet(): Promise<FleetSnapshot> {
    return call('fleet');
  }

  link(): Promise<LinkStatus> {
    return call('link');
  }

  send(command: Command): Promise<void> {
    return call('send_command', { command });
  }

  describe(address: Address): Promise<Description> {
    return call('describe', { address });
  }

  identify(address: Address): Promise<Identity> {
    return call('identify', { address });
  }

  holder(address: Address): Promise<string> {
    return call('holder', { address });
  }

  sendNote(address: Address, text: string): Promise<void> {
    return call('send_note', { address, text });
  }

  async api({ method, path, body, waitMs = 0, signal }: ApiRequest): Promise<ApiAnswer> {
    const request: ApiCall = { method, path, body: body ?? null, waitMs };
    // The Rust half goes on to the end of what it waits for; nobody hears of it any more.
    let end = (): void => undefined;
    const gone = new Promise<never>((_, reject) => {
      end = () => reject(new HostError({ code: 'gateway_gone', message: 'nobody waits for the answer any more' }));
    });
    if (signal?.aborted === true) end();
    signal?.addEventListener('abort', end);
    try {
      return await Promise.race([call<ApiAnswer>('api', { request }), gone]);
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  readonly countAlarms = (count: number, language: Language): Promise<void> => call('count_alarms', { count, language });

  readonly serialPorts = (): Promise<SerialPort[]> => call('serial_ports');

  readonly boards: Boards = {
    state: () => call<BoardState | null>('board'),
    install: (order: BoardOrder) => call('install_board', { order }),
    stop: () => call('stop_board'),
  };

  listen(listener: (event: HostEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private emit(event: HostEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

export async function createHost(): Promise<Host> {
  const host = new TauriHost();
  await host.attach();
  return host;
}
