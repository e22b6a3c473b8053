// A rule as its form holds it, and what the API takes: values are written as people write them.

import type { Condition, Rule, Scope, Severity } from '../../lib/alarm/types';
import { durationWritten, parseDuration, parseValue, pointSort, valueWritten, type PointSort, type Yardful } from '../../lib/alarm/written';
import { formatThousandths, parseNumber, parseThousandths, texts } from '../../lib/texts';
import type { Faults } from './saver.svelte';

export type ScopeKind = 'everywhere' | 'site' | 'tag' | 'controllers';

export interface RuleDraft {
  name: string;
  text: string;
  severity: Severity;
  scopeKind: ScopeKind;
  site: number;
  tag: string;
  controllers: string;
  kind: Condition['kind'];
  point: string;
  limit: string;
  clear: string;
  value: string;
  by: string;
  within: string;
  forTime: string;
  overForTime: string;
  isEnabled: boolean;
}

/** The fields that the form shows, by the API's names. */
export const RULE_FIELDS = ['name', 'text', 'scope', 'condition.point', 'condition.limit', 'condition.clear', 'condition.value', 'condition.by', 'condition.within_s', 'for_s', 'over_for_s'] as const;

const NAME_BYTES_MAX = 64;
const TEXT_BYTES_MAX = 200;
const DELAY_S_MAX = 24 * 60 * 60;
const WINDOW_S_MAX = 60 * 60;
const SILENCE_S_MIN = 5;
const bytes = (text: string): number => new TextEncoder().encode(text).length;
const written = (seconds: number): string => (seconds === 0 ? '' : durationWritten(seconds));

export function draftOfRule(rule: Rule | null, controllers: Yardful, firstSite: number): RuleDraft {
  const scope = rule?.scope ?? 'everywhere';
  const condition = rule?.condition ?? { kind: 'above', point: '', limit: 0, clear: 0 };
  const point = 'point' in condition ? condition.point : '';
  const sort = pointSort(controllers, scope, point);
  const draft: RuleDraft = {
    name: rule?.name ?? '',
    text: rule?.text ?? '',
    severity: rule?.severity ?? 'medium',
    scopeKind: scope === 'everywhere' ? 'everywhere' : 'site' in scope ? 'site' : 'tag' in scope ? 'tag' : 'controllers',
    site: scope !== 'everywhere' && 'site' in scope ? scope.site : firstSite,
    tag: scope !== 'everywhere' && 'tag' in scope ? scope.tag : '',
    controllers: scope !== 'everywhere' && 'controllers' in scope ? scope.controllers.join(', ') : '',
    kind: condition.kind,
    point,
    limit: '',
    clear: '',
    value: '',
    by: '',
    within: durationWritten(60),
    forTime: written(rule?.for_s ?? 0),
    overForTime: written(rule?.over_for_s ?? 0),
    isEnabled: rule?.is_enabled ?? true,
  };
  if (rule === null) return draft;
  switch (condition.kind) {
    case 'above':
    case 'below':
      draft.limit = valueWritten(condition.limit, sort, false);
      draft.clear = condition.clear === condition.limit ? '' : valueWritten(condition.clear, sort, false);
      break;
    case 'is':
      draft.value = valueWritten(condition.value, sort, true);
      break;
    case 'rises':
    case 'falls':
      draft.by = formatThousandths(condition.by);
      draft.within = durationWritten(condition.within_s);
      break;
    case 'bad':
    case 'silent':
      break;
  }
  return draft;
}

/** What is to be saved, or what is wrong with it. */
export function ruleOfDraft(draft: RuleDraft, controllers: Yardful): { rule: Rule } | { faults: Faults } {
  const words = texts.plans.rules.form;
  const faults: Record<string, string> = {};
  const name = draft.name.trim();
  if (name === '' || bytes(name) > NAME_BYTES_MAX) faults['name'] = texts.plans.contacts.form.nameBad;
  const text = draft.text.trim();
  if (text === '' || bytes(text) > TEXT_BYTES_MAX) faults['text'] = words.textBad;
  const scope = scopeOf(draft);
  if (scope === null) faults['scope'] = draft.scopeKind === 'controllers' ? words.controllersBad : texts.plans.contacts.form.nameBad;
  const condition = conditionOf(draft, pointSort(controllers, scope ?? 'everywhere', draft.point.trim()), faults);
  const delay = (field: string, from: string): number => {
    const seconds = from.trim() === '' ? 0 : parseDuration(from);
    if (seconds === null) faults[field] = texts.plans.durationBad;
    else if (seconds > DELAY_S_MAX) faults[field] = texts.plans.durationAtMost(durationWritten(DELAY_S_MAX));
    return seconds ?? 0;
  };
  const for_s = delay('for_s', draft.forTime);
  if (draft.kind === 'silent' && for_s < SILENCE_S_MIN && faults['for_s'] === undefined) faults['for_s'] = words.silenceBad(durationWritten(SILENCE_S_MIN));
  const over_for_s = delay('over_for_s', draft.overForTime);
  if (Object.keys(faults).length > 0 || condition === null || scope === null) return { faults };
  return { rule: { name, text, severity: draft.severity, scope, condition, for_s, over_for_s, is_enabled: draft.isEnabled } };
}

function scopeOf(draft: RuleDraft): Scope | null {
  switch (draft.scopeKind) {
    case 'everywhere':
      return 'everywhere';
    case 'site':
      return { site: draft.site };
    case 'tag': {
      const tag = draft.tag.trim();
      return tag === '' || bytes(tag) > NAME_BYTES_MAX ? null : { tag };
    }
    case 'controllers': {
      const numbers = draft.controllers.split(/[,，;\s]+/).filter((each) => each !== '').map(parseNumber);
      const sound = numbers.filter((each) => each !== null);
      return sound.length === 0 || sound.length !== numbers.length ? null : { controllers: [...new Set(sound)] };
    }
  }
}

/** Null where something is wrong; what, goes into `faults`. */
function conditionOf(draft: RuleDraft, sort: PointSort, faults: Record<string, string>): Condition | null {
  const words = texts.plans.rules.form;
  const { kind } = draft;
  if (kind === 'silent') return { kind };
  const point = draft.point.trim();
  if (!/^\S{1,64}$/u.test(point)) faults['condition.point'] = words.pointBad;
  const value = (field: string, text: string): number => {
    const parsed = parseValue(text, sort);
    if (parsed === null) faults[field] = sort === 'digital' ? words.digitalBad : words.valueBad;
    return parsed ?? 0;
  };
  switch (kind) {
    case 'bad':
      return { kind, point };
    case 'is':
      return { kind, point, value: value('condition.value', draft.value) };
    case 'above':
    case 'below': {
      const limit = value('condition.limit', draft.limit);
      const clear = draft.clear.trim() === '' ? limit : value('condition.clear', draft.clear);
      if (faults['condition.clear'] === undefined && (kind === 'above' ? clear > limit : clear < limit)) {
        faults['condition.clear'] = kind === 'above' ? words.clearBadAbove : words.clearBadBelow;
      }
      return { kind, point, limit, clear };
    }
    case 'rises':
    case 'falls': {
      const by = parseThousandths(draft.by);
      if (by === null || by <= 0) faults['condition.by'] = words.changeBad;
      const within = parseDuration(draft.within);
      if (within === null || within < 1) faults['condition.within_s'] = texts.plans.durationBad;
      else if (within > WINDOW_S_MAX) faults['condition.within_s'] = texts.plans.durationAtMost(durationWritten(WINDOW_S_MAX));
      return { kind, point, by: by ?? 0, within_s: within ?? 0 };
    }
  }
}
