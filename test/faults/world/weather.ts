import type { Chance } from "./random.ts";

/** How much goes wrong, as probabilities (0 to 1); drawn anew for each spell of a run. */
export interface Weather {
  /** A call between objects that never arrives. */
  lost: number;
  /** One that is done, and whose answer never arrives. */
  answerLost: number;
  /** One that arrives twice. */
  repeated: number;
  /** One that takes up to a minute. */
  slow: number;
  /** One that is refused before its object sees it. */
  overloaded: number;
  /** An object that ends after a turn, before what it wrote is committed. */
  crashBefore: number;
  /** As that, after the commit and before anybody hears of it. */
  crashAfter: number;
  /** A commit that takes a while. */
  slowCommit: number;
  /** An alarm that comes up to a minute late. */
  lateAlarm: number;
  /** An alarm that comes again. */
  secondAlarm: number;
  /** An alarm whose handler is ended while it runs. */
  failedAlarm: number;
  /** A client that hears no answer, and a Worker that ends early. */
  edgeEnds: number;
}

/** Nothing goes wrong. */
export const CALM: Weather = {
  lost: 0,
  answerLost: 0,
  repeated: 0,
  slow: 0,
  overloaded: 0,
  crashBefore: 0,
  crashAfter: 0,
  slowCommit: 0,
  lateAlarm: 0,
  secondAlarm: 0,
  failedAlarm: 0,
  edgeEnds: 0,
};

/** What goes wrong in a spell: each kind not at all, seldom or often, by chance. */
export function drawWeather(chance: Chance): Weather {
  const one = (often: number) => chance.pick([0, often / 10, often / 3, often]);
  return {
    lost: one(0.15),
    answerLost: one(0.15),
    repeated: one(0.15),
    slow: one(0.05),
    overloaded: one(0.1),
    crashBefore: one(0.02),
    crashAfter: one(0.02),
    slowCommit: one(0.3),
    lateAlarm: one(0.3),
    secondAlarm: one(0.2),
    failedAlarm: one(0.4),
    edgeEnds: one(0.1),
  };
}
