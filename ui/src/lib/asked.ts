// What was asked of a controller from here: the shape that the shared state keeps and the screens put into words.

import type { Action } from './host/types';

/** One command and what became of it; `stage` 0 is "asked, and nothing came back yet". */
export interface Asked {
  key: string;
  action: Action;
  stage: number;
  reason: number | null;
  /** The host's own fault, where the command never left. */
  fault: string | null;
  detail: string | null;
  final: boolean;
  askedAt: number;
}
