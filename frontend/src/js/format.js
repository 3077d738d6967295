// Values as a person reads them. Pure. Zero is a value; null and undefined are "–".
// Money stays the decimal string that the server sent: it is cut and grouped, never made a number.

export const NONE = "–";

/** @type {(value: unknown) => value is null | undefined} */
const missing = (value) => value === null || value === undefined;

/**
 * "1234.5" → "$1,234.50".
 * @param {string | null | undefined} decimal
 */
export function money(decimal) {
  if (missing(decimal)) return NONE;
  const [, sign, whole, cents = ""] = String(decimal).match(/^(-?)(\d+)(?:\.(\d+))?$/) ?? [];
  if (whole === undefined) return NONE;
  return `${sign}$${whole.replace(/\B(?=(\d{3})+$)/g, ",")}.${cents.padEnd(2, "0")}`;
}

/**
 * 1234567 → "1,234,567".
 * @param {number | null | undefined} number
 */
export function count(number) {
  return missing(number) ? NONE : number.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

/**
 * A loss with four decimals.
 * @param {number | null | undefined} number
 */
export function loss(number) {
  return missing(number) ? NONE : number.toFixed(4);
}

/**
 * Percent with at most one decimal, cut rather than rounded: 99.97 is not yet 100.
 * @param {number | null | undefined} number
 */
export function percent(number) {
  return missing(number) ? NONE : `${Math.floor(number * 10 + 1e-6) / 10}%`;
}

/**
 * A measured figure with as many digits as it deserves: 1234 → "1,234", 12.34 → "12.3", 0.00021 → "2.1e-4".
 * @param {number | null | undefined} number
 */
export function figure(number) {
  if (missing(number)) return NONE;
  const size = Math.abs(number);
  if (size !== 0 && size < 0.001) return Number(number.toPrecision(3)).toExponential();
  if (size >= 1000) return count(number);
  return String(Number(number.toPrecision(3)));
}

/**
 * A number somebody set, with every digit of it: 0.0002 → "2e-4", 0.05 → "0.05".
 * @param {number | null | undefined} number
 */
export function exact(number) {
  if (missing(number)) return NONE;
  return number !== 0 && Math.abs(number) < 0.001 ? number.toExponential() : String(number);
}

/**
 * Seconds → "45s", "2m 05s", "3h 20m", "2d 4h".
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (missing(seconds)) return NONE;
  const whole = Math.max(0, Math.round(seconds));
  const pad = (/** @type {number} */ value) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${pad(whole % 60)}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${pad(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d ${Math.floor((whole % 86400) / 3600)}h`;
}

/**
 * The seconds that a job ran, or has run so far; null before it did.
 * @param {{startedAt: string | null, completedAt: string | null}} job
 */
export function ranFor({ startedAt, completedAt }, now = Date.now()) {
  return startedAt ? ((completedAt ? Date.parse(completedAt) : now) - Date.parse(startedAt)) / 1000 : null;
}

/**
 * An estimate in hours → "about 12 minutes", in words that claim no more than is known.
 * @param {number} hours
 */
export function roughHours(hours) {
  const minutes = hours * 60;
  if (minutes < 1) return "under a minute";
  if (minutes < 90) return `about ${Math.round(minutes)} ${Math.round(minutes) === 1 ? "minute" : "minutes"}`;
  return `about ${Number(hours.toFixed(1))} hours`;
}

/**
 * 1536 → "1.5 kB" in powers of 1,000.
 * @param {number | null | undefined} number
 */
export function bytes(number) {
  if (missing(number)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = number;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/**
 * An instant on this person's clock.
 * @param {string | null | undefined} iso
 */
export function localTime(iso) {
  return missing(iso) ? NONE : new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/**
 * The time of day alone.
 * @param {string | null | undefined} iso
 * @param {"short" | "medium"} timeStyle
 */
export function localClock(iso, timeStyle = "medium") {
  return missing(iso) ? NONE : new Date(iso).toLocaleTimeString(undefined, { timeStyle });
}

/**
 * The same instant in UTC, for a title.
 * @param {string | null | undefined} iso
 */
export function utcTime(iso) {
  return missing(iso) ? "" : `${new Date(iso).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/**
 * How long ago, in the largest whole unit: "just now", "5 min ago", "3 h ago", then the date.
 * @param {string | null | undefined} iso
 */
export function ago(iso, now = Date.now()) {
  if (missing(iso)) return NONE;
  const seconds = (now - Date.parse(iso)) / 1000;
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(iso).toLocaleDateString(undefined, { dateStyle: "medium" });
}

/**
 * `2x NVIDIA A100`.
 * @param {{gpuType: string, numGpus: number}} config
 */
export function gpus({ gpuType, numGpus }) {
  return `${numGpus}x ${gpuType}`;
}
