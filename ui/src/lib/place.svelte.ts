// Which screen is open, kept in the address bar's fragment, so that "back" and a bookmark do what people expect.

export type Place = { screen: 'fleet' } | { screen: 'controller'; address: number } | { screen: 'bench' };

/** The note that is being written: to whom, or to a number that is still to be given; null for none. */
export type Writing = { to: number | null } | null;

export function parsePlace(fragment: string): Place {
  const path = fragment.replace(/^#\/?/, '');
  if (path === 'bench') return { screen: 'bench' };
  if (/^\d{1,10}$/.test(path)) return { screen: 'controller', address: Number(path) };
  return { screen: 'fleet' };
}

export function placeLink(place: Place): string {
  switch (place.screen) {
    case 'fleet':
      return '#/';
    case 'bench':
      return '#/bench';
    case 'controller':
      return `#/${place.address}`;
  }
}

export function createPlace() {
  let place = $state.raw<Place>(parsePlace(location.hash));
  return {
    get current() {
      return place;
    },
    go(next: Place): void {
      location.hash = placeLink(next);
      place = next;
    },
    attach(): () => void {
      const follow = () => (place = parsePlace(location.hash));
      addEventListener('hashchange', follow);
      return () => removeEventListener('hashchange', follow);
    },
  };
}
