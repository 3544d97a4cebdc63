import type { Host, Life, Surroundings } from "./host.ts";

/** The most that a call between objects is on its way, where it is slow. */
const SLOWEST_MS = 60_000;

/** Marks the copy of a message that arrives a second time; for checks, the code does not know it. */
export const REPEATED = "of_a_repeat";

/** What the platform says of a call that got no answer. */
function lostError(): Error {
  return new Error("Network connection lost.");
}

function overloadedError(): Error {
  return Object.assign(new Error("Durable Object is overloaded. Too many requests queued."), {
    overloaded: true,
  });
}

/** Calls between objects: late, out of order, lost, done without an answer, or done twice. None is silently lost. */
export class Network {
  readonly #world: Surroundings;

  constructor(world: Surroundings) {
    this.#world = world;
  }

  /**
   * Calls an object: `run` is done in it with a copy of `message`. Rejects as the platform does. Never answers a caller
   * that has ended.
   */
  call<T, M, A>(
    from: Life,
    to: Host<T>,
    what: string,
    message: M,
    run: (inner: T, message: M) => Promise<A>,
  ): Promise<A> {
    return new Promise<A>((resolve, reject) => {
      const once = { resolve: heard(from, resolve), reject: heard(from, reject) };
      from.send(() => this.#transmit(from.name, to, what, message, run, once));
    });
  }

  #transmit<T, M, A>(
    from: string,
    to: Host<T>,
    what: string,
    message: M,
    run: (inner: T, message: M) => Promise<A>,
    caller: { resolve(answer: A): void; reject(error: unknown): void },
  ): void {
    const { chance, weather, time } = this.#world;
    const about = `${what} to ${to.name}`;
    if (chance.is(weather.overloaded)) {
      this.#world.note(from, `${about}: refused, overloaded`);
      time.after(chance.between(0, 5), () => caller.reject(overloadedError()));
      return;
    }
    if (chance.is(weather.lost)) {
      this.#world.note(from, `${about}: lost`);
      time.after(this.#delayMs(), () => caller.reject(lostError()));
      return;
    }
    time.after(this.#delayMs(), () => this.#arrive(from, to, what, message, run, caller));
    if (!chance.is(weather.repeated)) return;
    const nobody = { resolve: () => undefined, reject: () => undefined };
    time.after(this.#delayMs() + chance.between(0, 5_000), () => {
      this.#world.note(from, `${about}: a second time`);
      const isObject = typeof message === "object" && message !== null && !Array.isArray(message);
      const marked = isObject ? { ...message, [REPEATED]: true } : message;
      this.#arrive(from, to, what, marked, run, nobody);
    });
  }

  #arrive<T, M, A>(
    from: string,
    to: Host<T>,
    what: string,
    message: M,
    run: (inner: T, message: M) => Promise<A>,
    caller: { resolve(answer: A): void; reject(error: unknown): void },
  ): void {
    const { time, chance } = this.#world;
    const broken = () => {
      const reset = "Durable Object reset because its code was updated.";
      const error = chance.is(0.2) ? new Error(reset) : lostError();
      time.after(this.#delayMs(), () => caller.reject(error));
    };
    this.#world.note(to.name, `${what} from ${from}`);
    to.enter((inner, life, done) => {
      const over = (answer: () => void) => {
        life.send(() => {
          done();
          answer();
        });
      };
      run(inner, structuredClone(message)).then(
        (answer) => over(() => this.#answer(to.name, what, structuredClone(answer), caller)),
        (error) => over(() => time.after(this.#delayMs(), () => caller.reject(new Error(messageOf(error))))),
      );
    }, broken);
  }

  #answer<A>(
    from: string,
    what: string,
    answer: A,
    caller: { resolve(answer: A): void; reject(error: unknown): void },
  ): void {
    const { chance, weather, time } = this.#world;
    if (chance.is(weather.answerLost)) {
      this.#world.note(from, `its answer to ${what}: lost`);
      time.after(this.#delayMs(), () => caller.reject(lostError()));
      return;
    }
    time.after(this.#delayMs(), () => caller.resolve(answer));
  }

  #delayMs(): number {
    const { chance, weather } = this.#world;
    if (chance.is(weather.slow)) return chance.between(100, chance.is(0.1) ? SLOWEST_MS : 5_000);
    return chance.between(0, 4);
  }
}

function heard<A>(from: Life, then: (value: A) => void): (value: A) => void {
  return (value) => {
    if (from.alive) then(value);
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
