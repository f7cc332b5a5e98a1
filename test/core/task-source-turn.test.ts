import { describe, expect, test } from "vitest";

import { millis } from "../../format/ids.ts";
import {
  batchRowsMax,
  frameRowsWorth,
  sourceTurnRows,
  turnRowsLeast,
} from "../../format/limits.ts";
import { SourceTurn, turnWaitMax } from "../../task/source-turn.ts";

const bufferTimeout = 10;

/**
 * Rows of each turn of a source that never waits, the next of which begins after so many milliseconds; of
 * one that makes its rows, or has batches of so many.
 */
function turnsOf(waits: readonly number[], receivers = 4, batch?: number): number[] {
  const turn = new SourceTurn(bufferTimeout, receivers);
  let now = 0;
  return waits.map((wait) => {
    let rows = 0;
    while (!turn.isOver) {
      const taken = batch ?? turn.batchRows;
      turn.took(taken, millis(now));
      rows += taken;
    }
    turn.next(millis((now += wait)));
    return rows;
  });
}

const waitMax = turnWaitMax(bufferTimeout);
const late = waitMax + 1;
const soon = Math.floor(waitMax / 4);

describe("the turn of a source", () => {
  test("stays as long as it may be where the next comes in time (S1)", () => {
    expect(turnsOf([0, soon, waitMax, soon])).toEqual(Array(4).fill(sourceTurnRows));
  });

  test("becomes shorter while the next comes late, down to one batch (S1, S2)", () => {
    expect(turnsOf([late, late, late, late], 1, batchRowsMax)).toEqual([
      sourceTurnRows,
      sourceTurnRows / 2,
      batchRowsMax,
      batchRowsMax,
    ]);
  });

  test("is a part of a batch of a source that makes its rows (S1)", () => {
    expect(turnsOf([late, late, late, late, late], 1)).toEqual([
      ...[1, 2, 4].map((parts) => sourceTurnRows / parts),
      turnRowsLeast,
      turnRowsLeast,
    ]);
  });

  test("becomes longer again when the next comes soon, and stays in between (S2)", () => {
    expect(turnsOf([late, late, waitMax, soon, soon, soon])).toEqual([
      sourceTurnRows,
      sourceTurnRows / 2,
      sourceTurnRows / 4,
      sourceTurnRows / 4,
      sourceTurnRows / 2,
      sourceTurnRows,
    ]);
  });

  test("makes frames that are worth their calls, however many receivers there are (S1)", () => {
    const least = 2 * batchRowsMax;
    expect(turnsOf([late, late, late], least / frameRowsWorth)).toEqual([
      sourceTurnRows,
      least,
      least,
    ]);
    expect(turnsOf([late, late], 128)).toEqual([sourceTurnRows, sourceTurnRows]);
  });

  test("that begins before the timer rings says nothing of how long others took (S2)", () => {
    const turn = new SourceTurn(bufferTimeout, 4);
    turn.took(sourceTurnRows, millis(0));
    turn.next(millis(late));
    turn.took(sourceTurnRows / 2, millis(late));
    turn.goOn();
    expect(turn.isOver).toBe(false);
    turn.next(millis(late));
    turn.took(sourceTurnRows / 2, millis(late));
    expect(turn.isOver).toBe(true);
  });

  test("that is not over says nothing of how long others took", () => {
    const turn = new SourceTurn(bufferTimeout, 4);
    turn.took(batchRowsMax, millis(0));
    turn.next(millis(10_000));
    turn.took(sourceTurnRows - 1, millis(10_000));
    expect(turn.isOver).toBe(false);
  });
});

test("turns stay long where rows may wait anyway", () => {
  expect(turnWaitMax(0)).toBe(25);
  expect(turnWaitMax(100)).toBe(250);
  const turn = new SourceTurn(100, 4);
  turn.took(sourceTurnRows, millis(0));
  turn.next(millis(250));
  turn.took(sourceTurnRows - 1, millis(250));
  expect(turn.isOver).toBe(false);
});
