// What charts do with numbers before they are drawn. Pure. `null` breaks a line, `undefined` lets it go on.

/** @typedef {import("../kinds.js").Column} Column */
/** @typedef {import("../kinds.js").Row} Row */

const FEW = 8;

/**
 * `points` with an empty row `{gap: true}` in the middle of every stretch of steps that nobody reported: one more than
 * four times as long as nearly all others.
 * @param {import("../kinds.js").Point[]} points
 * @returns {Row[]}
 */
export function withGaps(points) {
  if (points.length < FEW) return points;
  const apart = points.slice(1).map(({ step }, i) => step - points[i].step);
  const usual = [...apart].sort((a, b) => a - b)[Math.floor(0.95 * (apart.length - 1))];
  if (!apart.some((steps) => steps > 4 * usual)) return points;
  return points.flatMap(
    (point, i) =>
      /** @type {Row[]} */ (
        apart[i] > 4 * usual
          ? [point, { step: point.step + apart[i] / 2, gap: true, from: point.step, to: points[i + 1].step }]
          : [point]
      ),
  );
}

/**
 * Exponential moving average, as TensorBoard has it: `weight` from 0 (as it is) to below 1; the start is not bent to 0.
 * @param {Column} values
 * @param {number} weight
 * @returns {Column}
 */
export function smooth(values, weight) {
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    sum = sum * weight + value * (1 - weight);
    mass = mass * weight + (1 - weight);
    return sum / mass;
  });
}

/**
 * Where lines of a logarithmic axis read well: round steps within a decade or so, 1, 2 and 5 of each decade beyond.
 * @param {number} min
 * @param {number} max
 */
export function logTicks(min, max) {
  if (!(min > 0 && max > min)) return [];
  /** @type {number[]} */
  const ticks = [];
  if (max / min < 20) {
    const step = roundStep((max - min) / 5);
    for (let n = Math.ceil(min / step - 1e-9); n <= max / step + 1e-9; n += 1)
      ticks.push(Number((n * step).toPrecision(6)));
    return ticks;
  }
  const digits = max / min < 2_000 ? [1, 2, 5] : [1];
  for (let power = Math.floor(Math.log10(min)); 10 ** power <= max; power += 1) {
    for (const digit of digits) ticks.push(Number((digit * 10 ** power).toPrecision(6)));
  }
  return ticks.filter((tick) => tick >= min && tick <= max);
}

/** @param {number} rough */
function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5].find((digit) => digit * power >= rough) ?? 10) * power;
}

/**
 * `values` without those outside `range`, which are passed over; as they are where there is no range.
 * @param {Column} values
 * @param {[number, number] | null} range
 * @returns {Column}
 */
export function within(values, range) {
  if (!range) return values;
  const outside = (/** @type {number} */ value) => value < range[0] || value > range[1];
  return values.map((value) => (value !== null && value !== undefined && outside(value) ? undefined : value));
}

/**
 * The range of all but the most extreme values, one in fifty at either end, or null when there are too few to tell.
 * @param {Column} values
 * @returns {[number, number] | null}
 */
export function withoutOutliers(values) {
  const sorted = values.flatMap((value) => value ?? []).sort((a, b) => a - b);
  if (sorted.length < FEW) return null;
  const cut = Math.max(1, Math.floor(sorted.length * 0.02));
  return [sorted[cut], sorted[sorted.length - 1 - cut]];
}

/**
 * `values` smoothed; an outlier that is not to be seen is not to be felt either.
 * @param {Column} values
 * @param {{smoothing: number, cap: boolean}} look
 */
export function evened(values, { smoothing, cap }) {
  return smooth(cap ? within(values, withoutOutliers(values)) : values, smoothing);
}

/**
 * A logarithm has no place for zero and less: such values are passed over.
 * @param {Column} values
 * @returns {Column}
 */
export function positive(values) {
  return values.map((value) => (value !== null && value !== undefined && value <= 0 ? undefined : value));
}

/**
 * The steps at which a trainer reported NaN or infinity for one of `names`, which usually have a value.
 * @param {Row[]} rows
 * @param {import("../kinds.js").Figure[]} names
 */
export function brokenSteps(rows, names) {
  const usual = names.filter((name) => name !== "validationLoss" && rows.some((row) => (row[name] ?? null) !== null));
  return rows
    .filter((row) => row.nonFinite && usual.some((name) => (row[name] ?? null) === null))
    .map(({ step }) => step);
}

/**
 * Room above and below; a flat line lies in the middle, and a line of zeros on the floor.
 * @param {number | null} min
 * @param {number | null} max
 * @returns {[number, number]}
 */
export function heights(min, max, log = false) {
  if (typeof min !== "number" || typeof max !== "number") return log ? [0.1, 10] : [0, 1];
  if (log) return min === max ? [min / 2, max * 2] : [min / (max / min) ** 0.06, max * (max / min) ** 0.06];
  if (min === max) return min === 0 ? [0, 1] : [min - Math.abs(min) * 0.1, max + Math.abs(max) * 0.1];
  const room = (max - min) * 0.08;
  return [min >= 0 ? Math.max(0, min - room) : min - room, max + room];
}

/**
 * The index of the value of the ascending `values` that is nearest to `wanted`.
 * @param {number[]} values
 * @param {number} wanted
 */
export function nearest(values, wanted) {
  let best = 0;
  for (let i = 1; i < values.length; i += 1)
    if (Math.abs(values[i] - wanted) < Math.abs(values[best] - wanted)) best = i;
  return best;
}
