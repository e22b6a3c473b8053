// What the programs that look at the controller's own page show it: a script with a bit of everything, for the
// virtual board, whose DI2 follows RL1 and whose AI0 reads AO1 back.

export const CONTROLLER_PASSWORD = 'correct horse';

export const SAMPLE_SCRIPT = `# Pump house: a pump by the door's switch, and a fan that follows it.
in   door  = DI1
in   runs  = DI2
in   level : num = AI0 bad above 90
out  pump  = RL1 safe off confirm runs within 2s
out  fan   = RL2 safe hold
out  lamp  = RL3 safe off manual
out  valve : num = AO1 safe 0 manual
retain starts : int
param  delay : time = 30s in 1s..10m
param  most  : num = 80 in 0..90
command boost(t: time in 1s..10m, full: bool) refuse "the tank is full" when level > most

state house: idle, busy
  from idle to busy when door
  from busy to idle when not door
end
pump   := house.busy or tp(boost, boost.t)
fan    := tof(pump, delay) or boost.full
starts += 1 when rise(pump)
alarm HIGH "High water" when level > most
`;

/** With a name in it that is not declared, and what is wrong. */
export const WRONG_SCRIPT = SAMPLE_SCRIPT.replace('house.busy or', 'hose.busy or');
export const WRONG_WORD = 'hose';
export const PUMP_LINE = SAMPLE_SCRIPT.split('\n').findIndex((line) => line.startsWith('pump ')) + 1;
