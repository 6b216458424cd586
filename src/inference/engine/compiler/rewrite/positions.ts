// Positions per row: the lookup in the position table takes an input instead of a count of the past, which is one number for all rows.
//
//   Shape(past) ─▶ … ─▶ Gather(table, ·)      becomes      position_ids [B,1] ─▶ Gather(table, ·)
import type { NodeProto } from "onnx-buf";
import { ancestors } from "../../../onnx/chain.js";
import type { GraphView } from "../../../onnx/graph.js";
import { valueInfo } from "../../../onnx/node.js";
import { PatternMissing } from "../../../onnx/pattern.js";
import { dataType, dimsOf } from "../../../onnx/tensor.js";

/** How a host computes position_ids: `offset` + age of the row; a pad id, where the family singles it out, sits at `padPosition`. */
export interface PositionRule {
  readonly offset: number;
  /** Rows of the table: a position must be below. */
  readonly tableSize: number;
  readonly pad?: { readonly id: number; readonly position: number };
}

export const positionIds = "position_ids";

/** Position of the id that a row of that age consumes next. */
export function positionOf(rule: PositionRule, age: number, id: number): number {
  return rule.pad?.id === id ? rule.pad.position : rule.offset + age;
}

/** undefined: the decoder has no position table (relative positions). Call after the attention is rewritten and the graph pruned. */
export function positionsFromInput(view: GraphView): PositionRule | undefined {
  const lookups = findLookups(view);
  const [lookup] = lookups;
  if (lookup === undefined) return undefined;
  if (lookups.length > 1)
    throw new PatternMissing("more than one table is looked up by the age of the rows", lookups[1]?.name ?? "");
  const rule = readRule(view, lookup);
  view.inputs.set(positionIds, valueInfo(positionIds, dataType.INT64, ["B", 1]));
  view.setInput(lookup, 1, positionIds);
  return rule;
}

// Tables looked up by an index that comes from the length of the past: Gather of a constant [positions, width].
function findLookups(view: GraphView): NodeProto[] {
  return view.nodes.filter((candidate) => {
    if (candidate.opType !== "Gather") return false;
    const table = view.constant(candidate.input[0] ?? "");
    return table !== undefined && table.dims.length === 2 && readsPastLength(view, candidate.input[1] ?? "");
  });
}

function readsPastLength(view: GraphView, value: string): boolean {
  return ancestors(view, value).some((maker) => maker.opType === "Shape" && isPast(maker.input[0] ?? ""));
}

export function isPast(value: string): boolean {
  return /^past_key_values\.\d+\.decoder\.(key|value)$/.test(value);
}

function readRule(view: GraphView, lookup: NodeProto): PositionRule {
  const table = view.constant(lookup.input[0] ?? "");
  const tableSize = table === undefined ? 0 : (dimsOf(table)[0] ?? 0);
  const indexNodes = indexChain(view, lookup.input[1] ?? "");
  const added = indexNodes.map((step) => constantAddend(view, step)).reduce((sum, addend) => sum + addend, 0);
  const padId = findPadId(view, lookup.input[1] ?? "");
  // Families that skip pad ids count from 1 with CumSum, after the pad's own position.
  return padId === undefined
    ? { offset: added, tableSize }
    : { offset: added + 1, tableSize, pad: { id: padId, position: added } };
}

const passing = new Set(["Add", "Mul", "Cast", "Reshape", "Unsqueeze", "Squeeze", "Expand"]);

// From the lookup back along the index itself, not along the shapes that steer it.
function indexChain(view: GraphView, value: string): NodeProto[] {
  const maker = view.producer(value);
  if (maker === undefined || !passing.has(maker.opType)) return [];
  const next = maker.input.find((name) => view.constant(name) === undefined);
  return [maker, ...(next === undefined ? [] : indexChain(view, next))];
}

function constantAddend(view: GraphView, step: NodeProto): number {
  if (step.opType !== "Add") return 0;
  return step.input.map((name) => view.scalar(name) ?? 0).reduce((sum, addend) => sum + addend, 0);
}

function findPadId(view: GraphView, value: string): number | undefined {
  const makers = ancestors(view, value, (maker) => maker.opType === "Shape" || maker.opType === "Range");
  if (!makers.some((maker) => maker.opType === "CumSum")) return undefined;
  const test = makers.find((maker) => maker.opType === "Equal" && view.scalar(maker.input[1] ?? "") !== undefined);
  return test === undefined ? undefined : view.scalar(test.input[1] ?? "");
}
