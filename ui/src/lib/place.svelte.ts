// Which screen is open, kept in the address bar's fragment, so that "back" and a bookmark do what people expect.

/** Something to look at or change, something new to make, or none that is chosen. */
export type Chosen = number | 'new' | null;

/** Where it is planned who is told, and of what. */
export type PlanningPlace =
  /** Site 0 is all sites without a plan of their own; null is whichever there is first. */
  | { screen: 'onCall'; site: number | null; isEdited: boolean }
  | { screen: 'sheet'; site: number }
  | { screen: 'contacts'; contact: Chosen }
  | { screen: 'rules'; rule: Chosen };

export type AlarmsPlace = { screen: 'alarms'; alarm: number | null } | PlanningPlace;

export type Place = { screen: 'fleet' } | { screen: 'controller'; address: number } | { screen: 'bench' } | AlarmsPlace;

/** The note that is being written: to whom, or to a number that is still to be given; null for none. */
export type Writing = { to: number | null } | null;

export function isAlarmsPlace(place: Place): place is AlarmsPlace {
  return !['fleet', 'controller', 'bench'].includes(place.screen);
}

export function parsePlace(fragment: string): Place {
  const path = fragment.replace(/^#\/?/, '');
  if (path === 'bench') return { screen: 'bench' };
  if (/^\d{1,10}$/.test(path)) return { screen: 'controller', address: Number(path) };
  if (path === 'alarms' || path.startsWith('alarms/')) return parseAlarmsPlace(path.split('/').slice(1));
  return { screen: 'fleet' };
}

function parseAlarmsPlace([first = '', second = '', third = '']: string[]): AlarmsPlace {
  const number = (text: string): number | null => (/^\d{1,15}$/.test(text) ? Number(text) : null);
  const chosen: Chosen = second === 'new' ? 'new' : number(second);
  switch (first) {
    case 'on-call':
      return { screen: 'onCall', site: number(second), isEdited: third === 'edit' };
    case 'sheet':
      return { screen: 'sheet', site: number(second) ?? 0 };
    case 'contacts':
      return { screen: 'contacts', contact: chosen };
    case 'rules':
      return { screen: 'rules', rule: chosen };
    default:
      return { screen: 'alarms', alarm: number(first) };
  }
}

export function placeLink(place: Place): string {
  const and = (part: Chosen): string => (part === null ? '' : `/${part}`);
  switch (place.screen) {
    case 'fleet':
      return '#/';
    case 'bench':
      return '#/bench';
    case 'controller':
      return `#/${place.address}`;
    case 'alarms':
      return `#/alarms${and(place.alarm)}`;
    case 'onCall':
      return `#/alarms/on-call${and(place.site)}${place.isEdited && place.site !== null ? '/edit' : ''}`;
    case 'sheet':
      return `#/alarms/sheet/${place.site}`;
    case 'contacts':
      return `#/alarms/contacts${and(place.contact)}`;
    case 'rules':
      return `#/alarms/rules${and(place.rule)}`;
  }
}

/** Goes to a screen as a link to it would. */
export function goTo(place: Place): void {
  location.hash = placeLink(place);
}

export function createPlace() {
  let place = $state.raw<Place>(parsePlace(location.hash));
  return {
    get current() {
      return place;
    },
    go(next: Place): void {
      goTo(next);
      place = next;
    },
    attach(): () => void {
      const follow = () => (place = parsePlace(location.hash));
      addEventListener('hashchange', follow);
      return () => removeEventListener('hashchange', follow);
    },
  };
}
