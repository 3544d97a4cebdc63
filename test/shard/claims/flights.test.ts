import { describe, expect, test } from "vitest";
import { type Flight, Flights } from "../../../src/shard/storage/flights.ts";
import { ShardWorld } from "../../support/shard/shard-world.ts";

function flight(seq: number | null, lease: number): Flight {
  const rest = { lane: "", leaseUntil: 1_000, runner: 0, retry: false, probe: null, weight: 0 };
  return { id: "readiness key:own/x", kind: "probe", lease, seq, ...rest };
}

describe("a lease that replaces one of the same id", () => {
  const stored = (flights: Flights) => flights.stored().map(({ seq }) => seq);

  test("lets the row go that listed only the old one, where it has a row of its own", () => {
    const flights = new Flights(new ShardWorld().storage.sql);
    flights.add(flight(flights.writeRow(["readiness key:own/x"]), 1));
    flights.add(flight(flights.writeRow(["readiness key:own/x"]), 2));
    expect(stored(flights)).toEqual([2]);
    flights.remove("readiness key:own/x");
    expect(stored(flights)).toEqual([]);
  });

  test("goes on with the row of the old one, where it has none", () => {
    const flights = new Flights(new ShardWorld().storage.sql);
    flights.add(flight(flights.writeRow(["readiness key:own/x"]), 1));
    flights.add(flight(null, 2));
    expect(stored(flights)).toEqual([1]);
    flights.remove("readiness key:own/x");
    expect(stored(flights)).toEqual([]);
  });
});
