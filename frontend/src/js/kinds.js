// Names of the types that several modules share. Those of the API follow from the documents and the schema (shapes.mjs).

/** @typedef {import("shapes").Answers} Answers */
/** @typedef {import("shapes").Parts} Parts */

/** A job as its page has it, one of the list, one that is compared, one that is run again. */
/** @typedef {NonNullable<Answers["JOB"]["job"]>} Job */
/** @typedef {NonNullable<Answers["JOB_UPDATE"]["job"]>} JobUpdate */
/** @typedef {Answers["JOBS"]["jobs"]} JobPage */
/** @typedef {JobPage["nodes"][number]} ListedJob */
/** @typedef {NonNullable<Answers["COMPARED_JOB"]["job"]>} ComparedJob */
/** @typedef {NonNullable<Answers["JOB_SETTINGS"]["job"]>} JobSettings */

/** @typedef {Job["status"]} Status */
/** @typedef {Job["hyperparameters"]} Hyperparameters */
/** @typedef {Job["metrics"][number]} Point */
/** @typedef {Exclude<keyof Point, "timestamp" | "epoch" | "step" | "nonFinite">} Figure what a point measures */

/** A stretch of steps that nobody reported: a row of a chart without a value. */
/** @typedef {{step: number, gap: true, from: number, to: number}} Gap */
/** @typedef {(Point & {gap?: undefined}) | (Gap & {[name in keyof Omit<Point, "step">]?: undefined})} Row */
/** @typedef {Array<number | null | undefined>} Column `null` breaks a line, `undefined` lets it go on */

/** @typedef {Answers["FORM_OPTIONS"]} FormOptions */
/** @typedef {FormOptions["datasets"]["nodes"][number]} Dataset */
/** @typedef {FormOptions["presets"][number]} Preset */
/** @typedef {FormOptions["gpuTypes"][number]} GpuType */
/** @typedef {Answers["NOTIFICATIONS"]["notifications"]["nodes"][number]} Note */
/** @typedef {import("shapes").TrainingConfigInput} TrainingInput */
/** @typedef {{path: string, message: string}} Flaw what is wrong with a field, by the API's path */

/** @typedef {{smoothing: number, log: boolean, cap: boolean}} Look how charts are looked at */
/** @typedef {[from: number, to: number] | null} Zoom a stretch of the lower axis; null: all of it */
/** @typedef {{name: string, label: string, token: string, smooth?: boolean, dots?: boolean}} Series */
/**
 * @typedef {{
 *   name: string, title: string, log?: boolean, smooth?: boolean, range?: [number, number],
 *   show: (value: number | null | undefined) => string, series: Series[],
 * }} Spec what a chart is of
 */
/** @typedef {Omit<Spec, "series"> & {series: (Series & {name: Figure})[]}} JobSpec */
/** @typedef {{gaps: Gap[], broken: number[]}} Marks */
/**
 * @template {Spec} [S=Spec]
 * @typedef {ReturnType<typeof import("./charts/plot.js").mountChart<S>>} Chart
 */
/** @typedef {[number[], ...Column[]]} Columns the lower axis, then a column for each line */

/** @typedef {(address: string, options?: {replace?: boolean, keep?: boolean, state?: unknown}) => void} Navigate */
/** @typedef {(options?: {moveFocus?: boolean}) => void} Retry */
/** @typedef {{root: HTMLElement, url: URL, signal: AbortSignal, navigate: Navigate, parameters: string[]}} Context */
/** @typedef {(context: Context) => void | Promise<void>} View what shows a page until its signal aborts */

export {};
