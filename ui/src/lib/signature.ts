// Signatures of a controller's commands, as `describe` gives them: `pulse(t: time in 100ms..60s)`.

import { formatThousandths, parseThousandths } from './texts';

export type ParameterType = 'bool' | 'int' | 'num' | 'time';

export interface Parameter {
  name: string;
  type: ParameterType;
  /** In the wire's unit: milliseconds, thousandths, or plain; null where the signature sets no bound. */
  low: number | null;
  high: number | null;
  /** The bounds as the signature writes them. */
  lowText: string;
  highText: string;
}

export interface Signature {
  name: string;
  parameters: Parameter[];
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function isParameterType(text: string): text is ParameterType {
  return ['bool', 'int', 'num', 'time'].includes(text);
}

/** Null for what is newer than this page: such a command is listed, but cannot be run from here. */
export function parseSignature(text: string): Signature | null {
  const match = /^\s*([A-Za-z_]\w*)\s*(?:\(([^()]*)\))?\s*$/.exec(text);
  if (match?.[1] === undefined) return null;
  const parameters: Parameter[] = [];
  for (const part of (match[2] ?? '').split(',').filter((each) => each.trim() !== '')) {
    const parameter = /^\s*([A-Za-z_]\w*)\s*:\s*([a-z]+)(?:\s+in\s+(\S+?)\s*\.\.\s*(\S+))?\s*$/.exec(part);
    const [, name, type, lowText = '', highText = ''] = parameter ?? [];
    if (name === undefined || type === undefined || !isParameterType(type)) return null;
    const low = lowText === '' ? null : parseArgument(type, lowText);
    const high = highText === '' ? null : parseArgument(type, highText);
    if ((lowText !== '' && low === null) || (highText !== '' && high === null)) return null;
    parameters.push({ name, type, low, high, lowText, highText });
  }
  return { name: match[1], parameters };
}

/** What a person writes, in the wire's unit: `2s` and `2000ms` are 2000; a bare number of a time is in seconds. */
export function parseArgument(type: ParameterType, text: string): number | null {
  const trimmed = text.trim();
  switch (type) {
    case 'bool':
      return trimmed === '1' || trimmed === 'true' ? 1 : trimmed === '0' || trimmed === 'false' ? 0 : null;
    case 'int':
      return /^-?\d{1,15}$/.test(trimmed) ? Number(trimmed) : null;
    case 'num':
      return parseThousandths(trimmed);
    case 'time': {
      const match = /^(\d+(?:[.,]\d{1,3})?)\s*([a-z]*)$/.exec(trimmed);
      const unit = UNIT_MS[match?.[2] === '' ? 's' : (match?.[2] ?? '')];
      const amount = parseThousandths(match?.[1] ?? '');
      if (unit === undefined || amount === null) return null;
      const ms = Math.round((amount / 1000) * unit);
      return Number.isSafeInteger(ms) ? ms : null;
    }
  }
}

export function isInRange(parameter: Parameter, value: number): boolean {
  return (parameter.low === null || value >= parameter.low) && (parameter.high === null || value <= parameter.high);
}

/** A first value to put into the field: the lower bound, written as a person would. */
export function suggestedArgument(parameter: Parameter): string {
  if (parameter.lowText !== '') return parameter.lowText;
  switch (parameter.type) {
    case 'bool':
      return '1';
    case 'time':
      return '1s';
    case 'num':
      return formatThousandths(0);
    default:
      return '0';
  }
}
