import type { ASTNode } from "@marcbachmann/cel-js";
import { ERROR_TYPES } from "../../schema/task.ts";
import { FUNCTIONS, METHODS } from "./functions.ts";
import { negate, OPERATORS } from "./operators.ts";
import {
  asMap,
  EXHAUSTED,
  elementOf,
  Fault,
  itemsOf,
  kindOf,
  type Meter,
  type Operation,
  spend,
  Unreadable,
  type Value,
} from "./value.ts";

/** What one run of an expression works with. */
export interface Scope extends Meter {
  /** A variable's value, by its name. */
  read(name: string): Value | Fault;
  /** What a comprehension's variable stands for now. */
  item: Value;
}

/** One node of an expression, ready to run. It returns faults and throws nothing. */
export type Run = (scope: Scope) => Value | Fault;

/** What the language has, but an expression may not use. Position: the character it begins at, from 0. */
export class Refused extends Error {
  readonly position: number;
  constructor(message: string, position: number) {
    super(message);
    this.position = position;
  }
}

/** Where a node is: inside which comprehension, and how many nodes that has. */
interface Place {
  item: string | null;
  nodes: number;
}

/** The number of which the least int is the negation. */
const PAST_INT = 2n ** 63n;

const COMPREHENSIONS: ReadonlySet<string> = new Set(["all", "exists", "exists_one", "filter", "map"]);

/**
 * Makes the syntax tree of a checked expression ready to run. Each turn of a comprehension takes as many steps
 * as it has nodes, so a run is bounded whatever a target answers. `variables` are the names that `read` knows.
 * Throws Refused for a nested comprehension and for every construct, function and constant that is not offered.
 */
export function readyToRun(tree: ASTNode, variables: ReadonlySet<string>): Run {
  const build = (node: ASTNode, place: Place): Run => {
    place.nodes++;
    const at = (inner: ASTNode) => build(inner, place);
    switch (node.op) {
      case "value":
        return literal(node.args, node.start);
      case "id":
        return named(node.args, node.start, place, variables);
      case ".":
        return binary(elementOf, at(node.args[0]), always(node.args[1]));
      case "[]":
        return binary(elementOf, at(node.args[0]), at(node.args[1]));
      case "call":
        return call(node.args[0], node.args[1], node.start, at);
      case "rcall":
        return method(node, place, build);
      case "list":
        return list(node.args.map(at));
      case "?:":
        return choice(at(node.args[0]), at(node.args[1]), at(node.args[2]));
      case "&&":
        return logic(at(node.args[0]), at(node.args[1]), false);
      case "||":
        return logic(at(node.args[0]), at(node.args[1]), true);
      case "!_":
        return not(at(node.args));
      case "-_":
        return binary((_meter, value) => negate(value), at(node.args), always(null));
      default:
        if (node.op === "map" || node.op === ".?" || node.op === "[?]") {
          throw new Refused(`a ${node.op} is not available`, node.start);
        }
        return binary(OPERATORS[node.op], at(node.args[0]), at(node.args[1]));
    }
  };
  return build(tree, { item: null, nodes: 0 });
}

type Build = (node: ASTNode, place: Place) => Run;

function always(value: Value): Run {
  return () => value;
}

function literal(value: unknown, position: number): Run {
  if (typeof value === "bigint" && value > PAST_INT)
    throw new Refused("an int has at most 64 bits", position);
  if (value === null || ["string", "number", "bigint", "boolean"].includes(typeof value)) {
    return always(value as Value);
  }
  throw new Refused("bytes and unsigned numbers are not available", position);
}

function named(name: string, position: number, place: Place, variables: ReadonlySet<string>): Run {
  if (name === place.item) return (scope) => scope.item;
  if (variables.has(name)) return (scope) => scope.read(name);
  if ((ERROR_TYPES as readonly string[]).includes(name)) return always(name);
  throw new Refused(`${name} is not available`, position);
}

function binary(operation: Operation, left: Run, right: Run): Run {
  return (scope) => {
    const a = left(scope);
    if (a instanceof Fault) return a;
    const b = right(scope);
    return b instanceof Fault ? b : operation(scope, a, b);
  };
}

function call(name: string, args: readonly ASTNode[], position: number, at: (node: ASTNode) => Run): Run {
  // The library has checked how many arguments each function has, and that has() is given a path.
  const [argument] = args as [ASTNode];
  if (name === "has") return has(argument as ASTNode & { op: "." }, at);
  const operation = FUNCTIONS.get(name);
  if (operation === undefined) throw new Refused(`${name}() is not available`, position);
  return binary(operation, at(argument), always(null));
}

/** True where the whole path is there; a path that breaks off sooner is no fault, unless nobody could read it. */
function has(path: ASTNode & { op: "." }, at: (node: ASTNode) => Run): Run {
  const [owner, key] = [at(path.args[0]), path.args[1]];
  return (scope) => {
    const value = owner(scope);
    if (value instanceof Unreadable) return value;
    const map = value instanceof Fault ? null : asMap(value);
    return map !== null && Object.hasOwn(map, key);
  };
}

function method(node: ASTNode & { op: "rcall" }, place: Place, build: Build): Run {
  const [name, receiver, args] = node.args;
  if (COMPREHENSIONS.has(name)) return comprehension(node, place, build);
  const operation = METHODS.get(name);
  if (operation === undefined) throw new Refused(`${name}() is not available`, node.start);
  const argument = args[0] === undefined ? always(null) : build(args[0], place);
  return binary(operation, build(receiver, place), argument);
}

function comprehension(node: ASTNode & { op: "rcall" }, place: Place, build: Build): Run {
  const [name, receiver, args] = node.args;
  if (place.item !== null)
    throw new Refused(`${name}() inside another comprehension is not available`, node.start);
  const [variable, first, second] = args as [ASTNode & { op: "id" }, ASTNode, ASTNode | undefined];
  const inner: Place = { item: variable.args, nodes: 1 };
  const over = build(receiver, place);
  const head = build(first, inner);
  const tail = second === undefined ? null : build(second, inner);
  const turn = { over, steps: inner.nodes };
  switch (name) {
    case "all":
      return quantifier(turn, head, false);
    case "exists":
      return quantifier(turn, head, true);
    case "exists_one":
      return exactlyOne(select(turn, head, (scope) => scope.item));
    case "filter":
      return select(turn, head, (scope) => scope.item);
    default:
      return tail === null ? select(turn, always(true), head) : select(turn, head, tail);
  }
}

interface Turn {
  over: Run;
  steps: number;
}

/** `all` (ended by false) or `exists` (ended by true); as for `&&` and `||`, what ends it outweighs a fault. */
function quantifier(turn: Turn, predicate: Run, ending: boolean): Run {
  return (scope) => {
    const items = itemsIn(turn, scope);
    if (items instanceof Fault) return items;
    let fault: Fault | null = null;
    for (const item of items) {
      if (!spend(scope, turn.steps)) return EXHAUSTED;
      scope.item = item;
      const verdict = asBool(predicate(scope));
      if (verdict === ending) return ending;
      if (verdict instanceof Fault) fault ??= verdict;
    }
    return fault ?? !ending;
  };
}

function select(turn: Turn, keep: Run, give: Run): Run {
  return (scope) => {
    const items = itemsIn(turn, scope);
    if (items instanceof Fault) return items;
    const selected: Value[] = [];
    for (const item of items) {
      if (!spend(scope, turn.steps)) return EXHAUSTED;
      scope.item = item;
      const kept = asBool(keep(scope));
      if (kept === false) continue;
      const value = kept === true ? give(scope) : kept;
      if (value instanceof Fault) return value;
      selected.push(value);
    }
    return selected;
  };
}

function exactlyOne(selection: Run): Run {
  return (scope) => {
    const selected = selection(scope);
    return selected instanceof Fault ? selected : (selected as readonly Value[]).length === 1;
  };
}

function itemsIn(turn: Turn, scope: Scope): readonly Value[] | Fault {
  const value = turn.over(scope);
  return value instanceof Fault ? value : itemsOf(scope, value);
}

function list(items: readonly Run[]): Run {
  return (scope) => {
    const values: Value[] = [];
    for (const item of items) {
      const value = item(scope);
      if (value instanceof Fault) return value;
      values.push(value);
    }
    return values;
  };
}

function choice(condition: Run, yes: Run, no: Run): Run {
  return (scope) => {
    const verdict = asBool(condition(scope));
    if (verdict instanceof Fault) return verdict;
    return verdict ? yes(scope) : no(scope);
  };
}

/** `&&` (absorbed by false) or `||` (absorbed by true): a side that absorbs outweighs a fault of the other. */
function logic(left: Run, right: Run, absorbing: boolean): Run {
  return (scope) => {
    const a = asBool(left(scope));
    if (a === absorbing) return absorbing;
    const b = asBool(right(scope));
    return b === absorbing || a === !absorbing ? b : a;
  };
}

function not(operand: Run): Run {
  return (scope) => {
    const value = asBool(operand(scope));
    return value instanceof Fault ? value : !value;
  };
}

/** A bool or a fault: every other value is the fault that it is no bool. */
export function asBool(value: Value | Fault): boolean | Fault {
  if (typeof value === "boolean" || value instanceof Fault) return value;
  return new Fault(`expected bool, got ${kindOf(value)}`);
}
