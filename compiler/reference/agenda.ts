/**
 * What will happen at a certain time if nothing comes before: signals, decisions, limits of time.
 *
 * The clock stands still as long as anything can be executed and then jumps to what is next. At one
 * time answers come before limits, and each kind in the order in which it was entered.
 */
export interface Appointment {
  /** Milliseconds on the interpreter's clock. */
  at: number;
  isLimit: boolean;
  /** Whether it still means something when its time has come. */
  isDue(): boolean;
  happen(): void;
}

/** A clock that can be asked, and told what to do at a time. */
export interface Calendar {
  /** Milliseconds. */
  readonly now: number;
  enter(appointment: Appointment): void;
}

export class Agenda implements Calendar {
  now = 0;
  #open: Appointment[] = [];

  enter(appointment: Appointment): void {
    this.#open.push(appointment);
  }

  /** The clock jumps to what is next, which happens; false if nothing is ahead. */
  advance(): boolean {
    this.#open = this.#open.filter((appointment) => appointment.isDue());
    const [first, ...others] = this.#open;
    if (!first) return false;
    const next = others.reduce((best, other) => (isBefore(other, best) ? other : best), first);
    this.#open = this.#open.filter((appointment) => appointment !== next);
    this.now = Math.max(this.now, next.at);
    next.happen();
    return true;
  }
}

function isBefore(a: Appointment, b: Appointment): boolean {
  return a.at < b.at || (a.at === b.at && !a.isLimit && b.isLimit);
}
