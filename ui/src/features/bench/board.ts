// The bench without its screen: what a filled-in form orders, and how far a board is in the big steps that people see.

import type { BoardOrder, BoardState, BoardStep } from '../../lib/host/types';

/** The form as it is filled in: all of it text. */
export interface BoardDraft {
  serialPort: string;
  reset: BoardOrder['reset'];
  images: { offset: string; path: string }[];
  profile: string;
  wifi: string;
  wifiPassword: string;
  gateway: string;
  gateway2: string;
  title: string;
  site: string;
  script: string;
  pagePassword: string;
  replace: boolean;
}

/** What of a form is wrong; the texts have a sentence for each. */
export type Wrong = 'serialPort' | 'profile' | 'images' | 'title' | 'site';

/** The big steps, in the order in which they are taken. */
export const PHASES = ['find', 'write', 'start', 'setUp', 'enrol'] as const;
export type Phase = (typeof PHASES)[number];

const PHASE_OF: Readonly<Record<BoardStep, Phase>> = {
  finding: 'find',
  comparing: 'write',
  backingUp: 'write',
  writing: 'write',
  verifying: 'write',
  starting: 'start',
  unlocking: 'setUp',
  setting: 'setUp',
  joining: 'setUp',
  script: 'setUp',
  enrolling: 'enrol',
  restarting: 'enrol',
  reaching: 'enrol',
  rollingBack: 'enrol',
};

export function emptyDraft(): BoardDraft {
  return {
    serialPort: '',
    reset: 'lines',
    images: [{ offset: '0x0', path: '' }],
    profile: '',
    wifi: '',
    wifiPassword: '',
    gateway: '',
    gateway2: '',
    title: '',
    site: '',
    script: '',
    pagePassword: '',
    replace: false,
  };
}

/** The same form for the next board of a pile: only what is one board's own is gone. */
export function nextDraft(draft: BoardDraft): BoardDraft {
  return { ...draft, title: '', pagePassword: '', replace: false };
}

/** `0x1000` or `4096`; null where it is no place in a flash. */
export function parseOffset(text: string): number | null {
  const clean = text.trim();
  if (!/^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(clean)) return null;
  const offset = Number(clean);
  return offset <= 0xffff_ffff ? offset : null;
}

/** What a form orders, or what is wrong with it. */
export function orderOf(draft: BoardDraft, offMains: boolean): BoardOrder | Wrong {
  const text = (value: string): string | null => value.trim() || null;
  const serialPort = text(draft.serialPort);
  if (serialPort === null) return 'serialPort';
  const profile = text(draft.profile);
  if (profile === null) return 'profile';
  const images: BoardOrder['images'] = [];
  for (const image of draft.images) {
    const path = text(image.path);
    if (path === null) continue;
    const offset = parseOffset(image.offset);
    if (offset === null) return 'images';
    images.push({ offset, path });
  }
  const title = text(draft.title);
  if (title === null) return 'title';
  const site = text(draft.site);
  if (site !== null && !(/^\d{1,10}$/.test(site) && Number(site) <= 0xffff_ffff)) return 'site';
  return {
    serialPort,
    reset: draft.reset,
    images,
    profile,
    // A network's name may begin or end with a space, and a password too.
    wifi: draft.wifi === '' ? null : draft.wifi,
    wifiPassword: draft.wifiPassword,
    gateways: [draft.gateway, draft.gateway2].map((each) => each.trim()).filter((each) => each !== ''),
    title,
    site: site === null ? null : Number(site),
    script: text(draft.script),
    pagePassword: draft.pagePassword === '' ? null : draft.pagePassword,
    replace: draft.replace,
    offMains,
  };
}

/** Where a big step stands: behind the board, at it, before it; `failed` where the board did not get further. */
export function standing(phase: Phase, board: BoardState): 'done' | 'now' | 'failed' | 'next' {
  if (board.end?.kind === 'done') return 'done';
  const [at, here] = [PHASES.indexOf(phase), PHASES.indexOf(PHASE_OF[board.step])];
  if (at < here) return 'done';
  if (at > here) return 'next';
  return board.end === null ? 'now' : 'failed';
}

/** How much of the present step is done, from 0 to 1; null where nobody can tell. */
export function share(board: BoardState): number | null {
  return board.bytes === 0 || board.end !== null ? null : Math.min(1, board.bytesDone / board.bytes);
}
