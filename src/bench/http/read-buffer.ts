/** Every read of every plain connection lands here and is done with before the next: Node would otherwise set 64 KiB aside per read. */
export const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024)

/** By their length. Nearly all events of a stream are as long as each other: what is made once is no garbage later. */
const beginnings = new Array<Buffer | undefined>(4096).fill(undefined)

/** The first bytes of `bytes`. */
export function beginningOf(bytes: Buffer, length: number): Buffer {
  if (bytes.buffer !== READ_BUFFER.buffer || length >= beginnings.length) return bytes.subarray(0, length)
  return beginnings[length] ??= READ_BUFFER.subarray(0, length)
}
