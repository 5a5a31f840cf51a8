const CODES: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL'])

/** Did a connection fail for want of something on this machine (files, memory, local ports)? No backend is to blame then. */
export const isOwnShortage = (code: string | undefined): boolean => CODES.has(code)
