// What the page knows of the fleet, fed by presence and status as they come off the wire: docs/protocol.md
// section 7. Pure: it says what changed and which controllers must be asked for a snapshot, and sends nothing.

import type { PointChange, Presence, StatusDelta, StatusFull, StatusPoint } from '../protocol';
import { Code, POINTS_MAX } from '../protocol';
import type { Address, Controller, FleetChange, FleetSnapshot, Point } from './types';

/** More controllers than this are not kept; a yard of this size wants groups to subscribe to. */
export const CONTROLLERS_MAX = 50_000;

/** What came of one message: what to tell, and whether the truth was lost and has to be asked for. */
export interface Applied {
  change: FleetChange | null;
  gap: boolean;
}

const NOTHING: Applied = { change: null, gap: false };
const GAP: Applied = { change: null, gap: true };

interface Pages {
  boot: number;
  sequence: number;
  pages: number;
  came: Set<number>;
  points: Map<number, StatusPoint>;
}

export class FleetState {
  private readonly controllers = new Map<Address, Controller>();
  private readonly pages = new Map<Address, Pages>();
  /** Told of since the snapshot began: what is not in here at its end is gone. */
  private readonly mentioned = new Set<Address>();
  private synced = false;

  snapshot(): FleetSnapshot {
    return { synced: this.synced, controllers: [...this.controllers.values()] };
  }

  /** A new link: what is known stays on view, but every unfinished page is void. */
  beginSnapshot(): void {
    this.synced = false;
    this.pages.clear();
    this.mentioned.clear();
  }

  endSnapshot(count: number): FleetChange[] {
    this.synced = true;
    const changes: FleetChange[] = [];
    for (const address of this.controllers.keys()) {
      if (this.mentioned.has(address)) continue;
      this.controllers.delete(address);
      changes.push({ kind: 'gone', address });
    }
    this.mentioned.clear();
    changes.push({ kind: 'synced', count });
    return changes;
  }

  isSynced(): boolean {
    return this.synced;
  }

  clear(): void {
    this.controllers.clear();
    this.beginSnapshot();
  }

  presence(presence: Presence): Applied {
    if (!presence.online && presence.reason === Code.forbidden) return this.goneFromView(presence.controller);
    const known = this.controllers.get(presence.controller);
    if (known === undefined && this.controllers.size >= CONTROLLERS_MAX) return NOTHING;
    if (!this.synced) this.mentioned.add(presence.controller);
    const controller: Controller = {
      ...(known ?? unknownController(presence.controller)),
      title: presence.title,
      online: presence.online,
      since: presence.since,
      offlineReason: presence.online ? null : presence.reason,
      features: presence.features ?? known?.features ?? null,
      software: presence.software ?? known?.software ?? null,
      board: presence.board ?? known?.board ?? null,
    };
    return this.put(controller);
  }

  /** The account may not see a controller any more: nothing of it is kept. */
  private goneFromView(address: Address): Applied {
    this.pages.delete(address);
    this.mentioned.delete(address);
    if (!this.controllers.delete(address)) return NOTHING;
    return { change: { kind: 'gone', address }, gap: false };
  }

  full(address: Address, status: StatusFull, now: number): Applied {
    const known = this.controllers.get(address);
    // Status of a controller whose presence was never told is none that was subscribed to.
    if (known === undefined || status.page >= status.pages) return NOTHING;

    let pages = this.pages.get(address);
    if (pages?.boot !== status.boot || pages.sequence !== status.sequence || pages.pages !== status.pages || status.page === 0) {
      if (status.page !== 0) return this.synced ? GAP : NOTHING;
      const { boot, sequence } = status;
      pages = { boot, sequence, pages: status.pages, came: new Set(), points: new Map() };
      this.pages.set(address, pages);
    }
    pages.came.add(status.page);
    for (const point of status.points) pages.points.set(point.index, point);
    if (pages.came.size < pages.pages) return NOTHING;

    this.pages.delete(address);
    const points = [...pages.points.values()].sort((a, b) => a.index - b.index).slice(0, POINTS_MAX);
    return this.put({
      ...known,
      boot: status.boot,
      sequence: status.sequence,
      heardAt: status.time ?? now,
      points,
    });
  }

  delta(address: Address, status: StatusDelta, now: number): Applied {
    const known = this.controllers.get(address);
    if (known === undefined) return NOTHING;
    if (known.boot !== status.boot || known.sequence === null) return GAP;
    const ahead = (status.sequence - known.sequence) >>> 0;
    if (ahead === 0 || ahead >= 0x8000_0000) return NOTHING;
    if (ahead !== 1) return GAP;
    const points = mergePoints(known.points, status.points);
    if (points === null) return GAP;
    const at = status.time ?? now;
    this.controllers.set(address, { ...known, sequence: status.sequence, heardAt: at, points });
    const { boot, sequence } = status;
    return { change: { kind: 'points', address, boot, sequence, at, points: [...status.points] }, gap: false };
  }

  private put(controller: Controller): Applied {
    this.controllers.set(controller.address, controller);
    return { change: { kind: 'controller', controller }, gap: false };
  }
}

/** Points with changes laid over them; null where a change is of a point that is not there. */
export function mergePoints(points: readonly Point[], changes: readonly PointChange[]): Point[] | null {
  const merged = [...points];
  for (const change of changes) {
    const at = merged.findIndex((point) => point.index === change.index);
    const point = merged[at];
    if (point === undefined) return null;
    merged[at] = { ...point, value: change.value, flags: change.flags, cause: change.cause };
  }
  return merged;
}

function unknownController(address: Address): Controller {
  return {
    address,
    title: '',
    online: false,
    since: 0,
    offlineReason: null,
    boot: null,
    sequence: null,
    software: null,
    board: null,
    features: null,
    heardAt: null,
    points: [],
  };
}
