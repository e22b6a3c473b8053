// How alarms are put into words, the same in the list, in an alarm's own view and in the banner.

import type { AlarmView } from '../../lib/alarm/types';
import { texts } from '../../lib/texts';

/** The controller and its site, the site, or the gateway itself. */
export function whereText(alarm: AlarmView, siteName: (site: number) => string): string {
  const site = alarm.site === undefined ? null : siteName(alarm.site);
  if (alarm.controller !== undefined) {
    const title = alarm.controller_title ?? '';
    const controller = title === '' ? texts.number(alarm.controller) : title;
    return site === null ? controller : `${controller} · ${site}`;
  }
  return site ?? texts.alarms.gateway;
}

/** The number of the controller, for those who know them by it. */
export function searchText(alarm: AlarmView, siteName: (site: number) => string): string {
  return [alarm.id, alarm.text, alarm.controller ?? '', whereText(alarm, siteName)].join(' ').toLocaleLowerCase();
}
