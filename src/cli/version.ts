import { readFile } from 'node:fs/promises'

/** From package.json, which lies beside `dist` in a checkout and in an installed package alike. */
export const version = async (): Promise<string> => {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  return version
}
