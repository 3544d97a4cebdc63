import type { Chance } from "./random.ts";
import type { RowVersion, SimStorage } from "./storage.ts";
import type { SimTime } from "./time.ts";
import type { Weather } from "./weather.ts";

/** The most any object's clock is off. */
export const MOST_SKEW_MS = 3_000;
/** The platform tries an alarm again after 2, 4, ... 64 s, and then never. */
const ALARM_RETRIES = 6;
const LATEST_ALARM_MS = 60_000;

/** One stretch of an object's (or a Worker invocation's) life: what it began ends with it, unheard. */
export interface Life {
  readonly name: string;
  alive: boolean;
  /** Its clock, epoch ms. */
  now(): number;
  /** Lets something out: at once, or once what was written before is committed. Never after the end. */
  send(message: () => void): void;
}

/** What objects need of the simulated world. */
export interface Surroundings {
  time: SimTime;
  chance: Chance;
  weather: Weather;
  note(where: string, what: string): void;
  /** An object did something in this turn: `endTurn` is called when the turn is over. */
  touched(host: HostedObject): void;
}

/** What the simulation wants to hear of an object with storage. */
export interface Watcher {
  /** A turn has ended that wrote something. */
  wrote(versions: RowVersion[], at: number): void;
  committed(): void;
  lost(): void;
}

/** What the world's turns need of any object. */
export interface HostedObject {
  endTurn(): void;
}

/** How an object comes to life. */
export interface Making<T> {
  storage: SimStorage | null;
  start(life: Life, host: Host<T>): T;
  alarm(inner: T): Promise<void> | void;
  watcher: Watcher | null;
}

/** A Durable Object as the platform treats it: storage, one alarm, an output gate, and a life that may end at any await. */
export class Host<T> implements HostedObject {
  readonly name: string;
  readonly #world: Surroundings;
  readonly #making: Making<T>;
  #life: (Life & { inner: T }) | null = null;
  #skewMs: number;
  /** What waits for the commit. */
  #held: (() => void)[] = [];
  /** Calls under way: what their callers hear should this life end. */
  readonly #callers = new Set<() => void>();
  /** Set in the batch that is not committed; undefined: not touched. */
  #alarmWritten: number | undefined;
  /** When the alarm is armed for, on its own clock; null: it is not. */
  alarmAt: number | null = null;
  #alarmToken = 0;
  /** The alarm's handler runs, or will be tried again; how often it was tried again so far. */
  ringing: { retries: number } | null = null;

  constructor(name: string, world: Surroundings, making: Making<T>) {
    this.name = name;
    this.#world = world;
    this.#making = making;
    if (making.storage !== null) making.storage.onWrite = () => world.touched(this);
    this.#skewMs = world.chance.between(-MOST_SKEW_MS, MOST_SKEW_MS);
  }

  /** Its clock, epoch ms. */
  now(): number {
    return this.#world.time.now + this.#skewMs;
  }

  /** Null: it is not in memory. */
  get inner(): T | null {
    return this.#life?.inner ?? null;
  }

  /** Nothing is written that is not committed. */
  get isSettled(): boolean {
    return this.#making.storage?.wrote !== true;
  }

  /** A call has arrived: does `work` in the object, started where it is not. `ended` is called should its life end before `done`. */
  enter(work: (inner: T, life: Life, done: () => void) => void, ended: () => void): void {
    const life = this.#wake();
    this.#callers.add(ended);
    this.#world.touched(this);
    work(life.inner, life, () => this.#callers.delete(ended));
  }

  /** Arms the alarm, in the batch that is being written. Throws where the platform might lose such an alarm. */
  setAlarm(at: number): void {
    if (at <= this.now())
      throw new Error(`the alarm of ${this.name} is set for ${at - this.now()} ms from now`);
    this.#making.storage?.noteWrite();
    this.#alarmWritten = at;
  }

  /** Its life ends: memory, what is not committed, and every call under way are lost. */
  end(why: string): void {
    const life = this.#life;
    if (life === null) return;
    this.#world.note(this.name, `ends: ${why}`);
    life.alive = false;
    this.#life = null;
    this.#held = [];
    this.#alarmWritten = undefined;
    this.#making.storage?.rollBack();
    this.#making.watcher?.lost();
    if (this.#world.chance.is(0.1)) this.#skewMs = this.#world.chance.between(-MOST_SKEW_MS, MOST_SKEW_MS);
    const callers = [...this.#callers];
    this.#callers.clear();
    for (const ended of callers) ended();
    if (this.ringing !== null) this.#tryAlarmAgain();
  }

  /** True where its life may not be ended now: the platform gives an alarm up after six tries. */
  get mustLive(): boolean {
    return this.ringing !== null && this.ringing.retries >= ALARM_RETRIES;
  }

  endTurn(): void {
    const { storage, watcher } = this.#making;
    const { chance, weather, time } = this.#world;
    const life = this.#life;
    if (life === null) return;
    if (storage?.wrote) watcher?.wrote(storage.takeVersions(), this.now());
    if (!this.mustLive && chance.is(weather.crashBefore)) {
      this.end("before the commit");
      return;
    }
    if (!storage?.wrote) storage?.commit();
    else if (chance.is(weather.slowCommit)) {
      time.after(chance.is(0.05) ? chance.between(100, 3_000) : chance.between(1, 20), () => {
        if (life.alive && storage.wrote) this.#commit();
      });
    } else this.#commit();
  }

  #commit(): void {
    const { storage, watcher } = this.#making;
    const { chance, weather } = this.#world;
    storage?.commit();
    if (this.#alarmWritten !== undefined) this.#arm(this.#alarmWritten);
    this.#alarmWritten = undefined;
    watcher?.committed();
    if (!this.mustLive && chance.is(weather.crashAfter)) {
      this.end("after the commit");
      return;
    }
    for (const message of this.#held.splice(0)) message();
  }

  #wake(): Life & { inner: T } {
    if (this.#life !== null) return this.#life;
    const life: Life = {
      name: this.name,
      alive: true,
      now: () => this.now(),
      send: (message) => {
        if (!life.alive) return;
        if (this.#making.storage?.wrote) this.#held.push(message);
        else message();
      },
    };
    // One object for all who hold it: its end is seen by each.
    const born = Object.assign(life, { inner: this.#making.start(life, this) });
    this.#life = born;
    return born;
  }

  #arm(at: number): void {
    this.alarmAt = at;
    const token = ++this.#alarmToken;
    const { time, chance, weather } = this.#world;
    const lateMs = chance.is(weather.lateAlarm) ? chance.between(0, LATEST_ALARM_MS) : chance.between(0, 5);
    time.at(at - this.#skewMs + lateMs, () => this.#ring(token, 0));
  }

  #ring(token: number, retries: number): void {
    if (token !== this.#alarmToken) return;
    // On a machine whose clock is behind it waits on.
    if (this.alarmAt !== null && this.alarmAt > this.now()) {
      this.#world.time.after(this.alarmAt - this.now(), () => this.#ring(token, retries));
      return;
    }
    const { chance, weather, time } = this.#world;
    this.alarmAt = null;
    const ringing = { retries };
    this.ringing = ringing;
    this.#run(ringing);
    if (!this.mustLive && chance.is(weather.failedAlarm)) this.#failAlarm(ringing);
    else if (chance.is(weather.secondAlarm)) time.after(chance.between(0, 2_000), () => this.#ringTwice());
  }

  /** The handler is ended before it has done anything, or while it waits for something. */
  #failAlarm(ringing: { retries: number }): void {
    const { chance, time } = this.#world;
    const why = `its alarm, try ${ringing.retries + 1}`;
    if (chance.is(0.5)) this.end(why);
    else
      time.after(chance.between(0, 20), () => {
        if (this.ringing === ringing) this.end(why);
      });
  }

  #run(ringing: { retries: number }): void {
    this.enter(
      (inner, life, done) => {
        const over = () => {
          if (life.alive && this.ringing === ringing) this.ringing = null;
        };
        const failed = (error: unknown) => {
          this.#world.note(this.name, `its alarm throws: ${String(error)}`);
          if (life.alive && this.ringing === ringing) this.#tryAlarmAgain();
        };
        new Promise<void>((resolve) => resolve(this.#making.alarm(inner)))
          .then(() => life.send(over), failed)
          .finally(done);
      },
      () => undefined,
    );
  }

  #ringTwice(): void {
    if (this.ringing !== null) return;
    this.#world.note(this.name, "its alarm comes a second time");
    this.ringing = { retries: 0 };
    this.#run(this.ringing);
  }

  #tryAlarmAgain(): void {
    const retries = (this.ringing?.retries ?? 0) + 1;
    this.ringing = null;
    // An alarm that the handler set takes the place of the tries; so do seven failures.
    if (this.alarmAt !== null || retries > ALARM_RETRIES) return;
    this.ringing = { retries };
    const token = ++this.#alarmToken;
    const { time, chance } = this.#world;
    time.after(Math.round(1_000 * 2 ** retries * (1 + chance.next() / 4)), () => this.#ring(token, retries));
  }
}
