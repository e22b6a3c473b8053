// What the page knows of the controller, and how it keeps up with it: one question a second, one at a time.

import { Api, Fault } from './api';
import type { Command, Live, Session, Status } from './types';

const POLL_MS = 1000;
const RETRY_MS = 2000;
/** Of what changes slowly. */
const STATUS_EVERY = 5;

export interface View {
  session: Session | null;
  live: Live | null;
  status: Status | null;
  commands: Command[];
  /** When the controller was last heard; while it is not, values are stale. */
  heardAt: number;
  reachable: boolean;
  /** It has restarted while the page was open. */
  restarted: boolean;
}

/** What to call it: a new one has no name, and before the log-in its number is not known. */
export function titleOf({ session, status }: Pick<View, 'session' | 'status'>): string {
  return session?.name || (status === null ? 'Controller' : `No. ${status.address}`);
}

export class Controller {
  readonly view: View = { session: null, live: null, status: null, commands: [], heardAt: 0, reachable: true, restarted: false };
  #changed: () => void = () => undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #polls = 0;
  #polling = false;

  constructor(
    readonly api: Api = new Api(),
    private readonly now: () => number = Date.now,
  ) {}

  /** Calls back after every change of the view. */
  start(changed: () => void): void {
    this.#changed = changed;
    void this.poll();
  }

  /** Asks anew, now. */
  async poll(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#polling) return;
    this.#polling = true;
    let wait = POLL_MS;
    try {
      if (this.view.session?.state === 'open') await this.#look();
      else this.view.session = await this.api.ask<Session>('session');
      if (this.view.session?.state === 'open' && this.view.live === null) await this.#look();
      this.view.reachable = true;
      this.view.heardAt = this.now();
    } catch (error) {
      if (!this.#fail(error)) wait = RETRY_MS;
    }
    this.#polling = false;
    this.#changed();
    this.#timer = setTimeout(() => void this.poll(), wait);
  }

  async #look(): Promise<void> {
    const { view } = this;
    const live = await this.api.ask<Live>('live');
    const isOther = view.live === null || live.boot_id !== view.live.boot_id || live.script_hash !== view.live.script_hash;
    if (view.live !== null && live.boot_id !== view.live.boot_id) view.restarted = true;
    if (isOther) view.commands = (await this.api.ask<{ commands: Command[] }>('commands')).commands;
    const isDue = this.#polls++ % STATUS_EVERY === 0;
    if (isOther || isDue) view.status = await this.api.ask<Status>('status');
    view.live = live;
  }

  /** Takes note of what an error means for the whole page; true if there is nothing more to say of it. */
  #fail(error: unknown): boolean {
    if (!(error instanceof Fault)) return false;
    if (error.problem.code === 'unreachable') {
      this.view.reachable = false;
      return false;
    }
    if (error.problem.code === 'not_logged_in' || error.problem.code === 'setup_needed') {
      // What was on the screen stays there, behind the log-in: a script that is being written is not lost.
      this.view.session = null;
      void this.askSession();
      return true;
    }
    return false;
  }

  /** Who we are to the controller, and what it is called. */
  async askSession(): Promise<void> {
    try {
      this.view.session = await this.api.ask<Session>('session');
    } catch {
      this.view.reachable = false;
    }
    this.#changed();
  }

  /** Does something that a person asked for. Being logged out is told by the page; other errors are the caller's. */
  async act<T>(what: (api: Api) => Promise<T>): Promise<T> {
    try {
      const result = await what(this.api);
      void this.poll();
      return result;
    } catch (error) {
      this.#fail(error);
      this.#changed();
      throw error;
    }
  }
}
