/** A figure out of an array of them, in which NaN stands for one that there is not: an `undefined` there would make each of the others an object. */
export function known(figure: number): number | undefined {
  return Number.isNaN(figure) ? undefined : figure
}
