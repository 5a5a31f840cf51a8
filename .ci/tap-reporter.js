import { Transform } from 'node:stream'

/** Raw TAP as it comes, then one line that people and scripts can read. Counts are assertions. */
const TOTALS = /# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?(?:, todo: (\d+))?(?:, skip: (\d+))? \}\s*(?:# time=\S+\s*)?$/

export default class TapWithSummary extends Transform {
  #tail = ''

  _transform (chunk, _encoding, done) {
    this.#tail = (this.#tail + chunk).slice(-500)
    done(null, chunk)
  }

  _flush (done) {
    const [, , pass = '0', fail = '0', , skip = '0'] = TOTALS.exec(this.#tail) ?? []
    done(null, `\n${pass} passed, ${fail} failed, ${skip} skipped\n`)
  }
}
