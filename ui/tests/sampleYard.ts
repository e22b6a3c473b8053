// A handful of controllers that show every state that the screens know.

import { PointFlag } from '../src/lib/protocol';
import { digital, type FakeController, type FakeGateway } from './fakeGateway';

const MINUTE_MS = 60_000;

function controller(address: number, title: string, now: number, rest: Partial<FakeController>): FakeController {
  const boot = 1_000 + address;
  return { address, title, online: true, since: now - 14_000, boot, sequence: 10, behaviour: 'latching output', commands: [], points: [], ...rest };
}

export function fillYard(gateway: FakeGateway, now: number): void {
  gateway.add(
    controller(100042, 'Pump house 3', now, {
      since: now - 47 * MINUTE_MS,
      behaviour: 'timed pulse',
      commands: ['pulse(t: time in 100ms..60s)', 'enable(on: bool)', 'ramp(target: num in 0..100, rate: num in 0.1..50)'],
      points: [
        digital(0, 'DI1', 0, 0),
        digital(1, 'DI2', 0, 1, 0, { kind: 5, by: null, reference: null }),
        { index: 2, name: 'AI0', type: 2, value: 72_400, flags: 0, cause: { kind: 5, by: null, reference: null } },
        digital(3, 'RL1', 1, 1, PointFlag.manual | PointFlag.confirm, { kind: 1, by: null, reference: 12 }),
        digital(4, 'RL2', 1, 0, PointFlag.manual),
        digital(5, 'RL3', 1, 1, PointFlag.forced, { kind: 7, by: null, reference: null }),
        { index: 6, name: 'AO1', type: 3, value: 12_500, flags: PointFlag.manual, cause: { kind: 0, by: null, reference: null } },
      ],
    }),
  );
  gateway.add(controller(100043, 'Gate', now, { points: [digital(0, 'RL1', 1, 0, PointFlag.manual), digital(1, 'DI1', 0, 1)] }));
  gateway.add(
    controller(100051, 'Tank 2', now, {
      online: false,
      since: now - 190 * MINUTE_MS,
      points: [digital(0, 'RL1', 1, 1, PointFlag.manual), { index: 1, name: 'AI0', type: 2, value: 41_050, flags: 0, cause: { kind: 5, by: null, reference: null } }],
    }),
  );
  gateway.add(
    controller(100052, '北区水泵房 – north pump house with a long name', now, {
      points: [digital(0, 'RL1', 1, 1, PointFlag.manual), digital(1, 'DI1', 0, 0, PointFlag.bad), digital(2, 'DI2', 0, 0), digital(3, 'DI3', 0, 0), digital(4, 'DI4', 0, 1)],
    }),
  );
  for (let n = 0; n < 24; n++) {
    gateway.add(
      controller(100_100 + n, `Greenhouse ${n + 1}`, now, {
        since: now - n * 7 * MINUTE_MS,
        points: [digital(0, 'RL1', 1, n % 3 === 0 ? 1 : 0, PointFlag.manual), { index: 1, name: 'AI0', type: 2, value: 18_000 + n * 350, flags: 0, cause: { kind: 5, by: null, reference: null } }],
      }),
    );
  }
}

/** One that comes while somebody looks. */
export function addNewcomer(gateway: FakeGateway, now: number): void {
  gateway.add(controller(100053, 'Weir', now, { since: now, points: [digital(0, 'RL1', 1, 0, PointFlag.manual)] }));
}
