/** All of them in one buffer; a single one as it is, without a copy. */
export function joined(pieces: readonly Buffer[], sizeBytes: number): Buffer {
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, sizeBytes)
}
