// How a point is put into signs and words, the same in the list and in the pane.

import type { SignName } from '../components/signs';
import type { Asked } from './asked';
import type { Cause, Point } from './host/types';
import { CauseKind, codeName, PointFlag, PointType, Stage } from './protocol/registry';
import { formatThousandths, texts } from './texts';

export function isInput(point: Point): boolean {
  return point.type === PointType.digitalInput || point.type === PointType.analogueInput;
}

export function isDigital(point: { type: number }): boolean {
  return point.type === PointType.digitalInput || point.type === PointType.digitalOutput;
}

export function has(point: Point, flag: number): boolean {
  return (point.flags & flag) !== 0;
}

/** `ON`, `off`, or the number. */
export function valueText(point: { type: number; value: number }): string {
  if (!isDigital(point)) return formatThousandths(point.value);
  return point.value === 0 ? texts.state.off : texts.state.on;
}

/** What else is to be known of a value, in words. */
export function remarks(point: Point): string[] {
  const words: string[] = [];
  if (has(point, PointFlag.forced)) words.push(texts.state.forced);
  if (has(point, PointFlag.bad)) words.push(texts.state.bad);
  if (has(point, PointFlag.fault)) words.push(texts.state.fault);
  return words;
}

/**
 * Why a point has its value. `isOwn` knows this tool's addresses; `nameOf` what another tool calls itself; `brief` leaves
 * out the receipt.
 */
export function causeText(cause: Cause, isOwn: (address: number) => boolean, nameOf: (address: number) => string | null, brief = false): string {
  switch (cause.kind) {
    case CauseKind.boot:
      return texts.cause.boot;
    case CauseKind.script:
      return texts.cause.script(cause.reference);
    case CauseKind.command: {
      const { by } = cause;
      const key = brief || cause.reference === null ? '' : texts.cause.receipt(cause.reference.toString(16).padStart(8, '0').slice(0, 4));
      if (by === null) return texts.cause.command + key;
      if (isOwn(by)) return texts.cause.you(key);
      return texts.cause.tool(nameOf(by) ?? texts.number(by), key);
    }
    case CauseKind.schedule:
      return texts.cause.schedule(cause.reference);
    case CauseKind.linkLoss:
      return texts.cause.linkLoss;
    case CauseKind.input:
      return texts.cause.input;
    case CauseKind.timer:
      return texts.cause.timer;
    case CauseKind.force:
      return texts.cause.force;
    case CauseKind.safe:
      return texts.cause.safe;
    default:
      return texts.cause.other(cause.kind);
  }
}

export interface Outcome {
  sign: SignName;
  /** One of the colours of LOOK, by its name in app.css. */
  colour: 'info' | 'energised' | 'confirmed' | 'text';
  words: string;
}

/** What was asked and what came back. */
export function outcome(asked: Asked): Outcome {
  const because = (word: string): string => {
    const reason = asked.fault ?? (asked.reason === null ? null : codeName(asked.reason));
    return reason === null ? word : texts.receipt.because(word, asked.detail ?? texts.reason(reason));
  };
  switch (asked.stage) {
    case 0:
    case Stage.sent:
    case Stage.delivered:
      return { sign: 'asked', colour: 'info', words: texts.receipt.asked };
    case Stage.queued:
      return { sign: 'asked', colour: 'info', words: texts.receipt.waiting };
    case Stage.executed:
      return { sign: 'done', colour: 'energised', words: asked.final ? texts.receipt.done : texts.receipt.awaiting };
    case Stage.confirmed:
      return { sign: 'confirmed', colour: 'confirmed', words: texts.receipt.confirmed };
    case Stage.expired:
      return { sign: 'stopped', colour: 'text', words: because(texts.receipt.expired) };
    case Stage.refused:
      return { sign: 'stopped', colour: 'text', words: because(texts.receipt.refused) };
    case Stage.failed:
      return { sign: 'stopped', colour: 'text', words: because(texts.receipt.failed) };
    case Stage.unknown:
      return { sign: 'unknown', colour: 'text', words: texts.receipt.unknown };
    default:
      return { sign: 'asked', colour: 'info', words: texts.receipt.other(asked.stage) };
  }
}

/** Whether an answer is still to come that a second command would only confuse. */
export function isAwaited(asked: Asked | undefined): boolean {
  return asked !== undefined && !asked.final && asked.stage < Stage.executed;
}
