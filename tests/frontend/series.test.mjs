// Points → what charts and estimates need.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  columns,
  hasAny,
  lastStep,
  lowest,
  mergePoints,
  newest,
  secondsLeft,
} from "../../frontend/src/js/series.js";

const point = (step, values = {}) => ({
  step,
  timestamp: new Date(Date.UTC(2026, 10, 24) + step * 2_000).toISOString(),
  trainingLoss: null,
  validationLoss: null,
  learningRate: null,
  gradientNorm: null,
  throughput: null,
  gpuUtilization: null,
  ...values,
});

test("fresh points follow the known ones", () => {
  const known = [point(1), point(2)];
  const merged = mergePoints(known, [point(3), point(4)]);
  assert.deepEqual(
    merged.map(({ step }) => step),
    [1, 2, 3, 4],
  );
  assert.equal(known.length, 2, "the argument is left alone");
});

test("a step reported again replaces the earlier report and stays one row, in order", () => {
  const merged = mergePoints(
    [point(1), point(5, { trainingLoss: 1 })],
    [point(5, { trainingLoss: 0.5 }), point(3)],
  );
  assert.deepEqual(
    merged.map(({ step }) => step),
    [1, 3, 5],
  );
  assert.equal(merged[2].trainingLoss, 0.5);
});

test("the last step is null before the first point, and may be zero", () => {
  assert.equal(lastStep([]), null);
  assert.equal(lastStep([point(0)]), 0);
});

test("columns are ascending steps and arrays of equal length", () => {
  const data = columns(
    [point(1, { trainingLoss: 2 }), point(2, { trainingLoss: 0 })],
    ["trainingLoss", "throughput"],
  );
  assert.deepEqual(data, [
    [1, 2],
    [2, 0],
    [null, null],
  ]);
  assert.deepEqual(columns([], ["trainingLoss"]), [[], []]);
});

test("a missing training loss is a gap, zero is not", () => {
  const points = [1, null, 0].map((trainingLoss, i) =>
    point(i, { trainingLoss, gpuUtilization: 90 }),
  );
  assert.deepEqual(columns(points, ["trainingLoss"])[1], [1, null, 0]);
});

test("a rare validation loss is joined, and a row of validation alone breaks no other line", () => {
  const points = [
    point(1, { trainingLoss: 2 }),
    point(2, { validationLoss: 2.1 }),
    point(3, { trainingLoss: 1.5 }),
    point(4, { validationLoss: 1.6, trainingLoss: 1.4 }),
  ];
  const [, training, validation] = columns(points, [
    "trainingLoss",
    "validationLoss",
  ]);
  assert.deepEqual(training, [2, undefined, 1.5, 1.4]);
  assert.deepEqual(validation, [undefined, 2.1, undefined, 1.6]);
});

test("zero counts as a value", () => {
  const points = [point(1, { gradientNorm: 0 }), point(2)];
  assert.equal(hasAny(points, "gradientNorm"), true);
  assert.equal(hasAny(points, "throughput"), false);
  assert.equal(newest(points, "gradientNorm"), 0);
  assert.equal(newest(points, "throughput"), null);
});

test("the time left comes from the steps measured", () => {
  const points = [10, 20, 30].map((step) => point(step)); // two seconds a step
  const now = Date.parse(points.at(-1).timestamp);
  assert.equal(
    secondsLeft(points, { currentStep: 30, totalSteps: 100 }, now),
    140,
  );
});

test("standing still makes the time left grow, and long silence ends the guess", () => {
  const points = [10, 20, 30].map((step) => point(step));
  const last = Date.parse(points.at(-1).timestamp);
  assert.equal(
    secondsLeft(points, { currentStep: 30, totalSteps: 100 }, last + 40_000),
    280,
  );
  assert.equal(
    secondsLeft(points, { currentStep: 30, totalSteps: 100 }, last + 601_000),
    null,
  );
});

test("nothing is said of the time left while nothing is known", () => {
  const points = [point(1), point(2)];
  const now = Date.parse(points[1].timestamp);
  const cases = [
    [[], { currentStep: 0, totalSteps: 100 }],
    [[points[0]], { currentStep: 1, totalSteps: 100 }],
    [points, { currentStep: 2, totalSteps: 0 }],
    [points, { currentStep: 100, totalSteps: 100 }],
    [
      [point(2), { ...point(3), timestamp: point(2).timestamp }],
      { currentStep: 3, totalSteps: 9 },
    ],
  ];
  for (const [known, job] of cases)
    assert.equal(secondsLeft(known, job, Date.parse(point(2).timestamp)), null);
  assert.notEqual(
    secondsLeft(points, { currentStep: 2, totalSteps: 9 }, now),
    null,
  );
});

test("the lowest value is the earliest of the least, and zero is one", () => {
  const at = (step, validationLoss) => ({ step, validationLoss });
  assert.equal(
    lowest(
      [at(1, 0.5), at(2, null), at(3, 0.25), at(4, 0.25), at(5, 0.75)],
      "validationLoss",
    ).step,
    3,
  );
  assert.equal(lowest([at(1, 0.5), at(2, 0)], "validationLoss").step, 2);
  assert.equal(lowest([at(1, null)], "validationLoss"), null);
});
