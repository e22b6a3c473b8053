// Holds the desktop's shapes (generated here from Rust) and the screens' (lib/host/types.ts) together: where one of
// them grows, loses or retypes a field alone, this file no longer compiles. It is types only; nothing runs.

import type * as Host from '../host/types';
import type { Action } from './Action';
import type { ApiAnswer } from './ApiAnswer';
import type { ApiMethod } from './ApiMethod';
import type { BoardEnd } from './BoardEnd';
import type { BoardImage } from './BoardImage';
import type { BoardOrder } from './BoardOrder';
import type { BoardState } from './BoardState';
import type { Command } from './Command';
import type { Controller } from './Controller';
import type { Description } from './Description';
import type { FleetChange } from './FleetChange';
import type { FleetSnapshot } from './FleetSnapshot';
import type { HostFault } from './HostFault';
import type { Identity } from './Identity';
import type { Language } from './Language';
import type { LinkStatus } from './LinkStatus';
import type { Note } from './Note';
import type { Receipt } from './Receipt';
import type { SerialPort } from './SerialPort';
import type { Session } from './Session';

/** `true` where each of the two may stand for the other. */
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
type Agreed<T extends true> = T;

export type Agreement = [
  Agreed<Same<Action, Host.Action>>,
  Agreed<Same<ApiAnswer, Host.ApiAnswer>>,
  Agreed<Same<ApiMethod, Host.ApiMethod>>,
  Agreed<Same<BoardEnd, Host.BoardEnd>>,
  Agreed<Same<BoardImage, Host.BoardImage>>,
  Agreed<Same<BoardOrder, Host.BoardOrder>>,
  Agreed<Same<BoardState, Host.BoardState>>,
  Agreed<Same<Command, Host.Command>>,
  Agreed<Same<Controller, Host.Controller>>,
  Agreed<Same<Description, Host.Description>>,
  Agreed<Same<FleetChange, Host.FleetChange>>,
  Agreed<Same<FleetSnapshot, Host.FleetSnapshot>>,
  Agreed<Same<HostFault, Host.HostFault>>,
  Agreed<Same<Identity, Host.Identity>>,
  Agreed<Same<Language, Host.Language>>,
  Agreed<Same<LinkStatus, Host.LinkStatus>>,
  Agreed<Same<Note, Host.Note>>,
  Agreed<Same<Receipt, Host.Receipt>>,
  Agreed<Same<SerialPort, Host.SerialPort>>,
  Agreed<Same<Session, Host.Session>>,
];
