import { spawnSync } from 'node:child_process'

/**
 * Terminal settings through stty(1). Node's own raw mode leaves output processing on (a line feed would also return the
 * carriage), which corrupts full-screen programs of the far side; `stty raw` does not.
 */
function stty(fd: number, args: string[]): string | undefined {
  const result = spawnSync('stty', args, { stdio: [fd, 'pipe', 'ignore'], encoding: 'utf8' })
  return result.status === 0 ? result.stdout.trim() : undefined
}

/** The settings in the form that `restoreSettings` takes, or undefined when `fd` is no terminal. */
export const saveSettings = (fd: number): string | undefined => stty(fd, ['-g'])

export const restoreSettings = (fd: number, saved: string): void => {
  stty(fd, [saved])
}

/** Bytes pass as they are in both directions, without echo or signals. */
export const setRaw = (fd: number): boolean => stty(fd, ['raw', '-echo', '-iexten']) !== undefined

export const setEcho = (fd: number, on: boolean): boolean => stty(fd, [on ? 'echo' : '-echo']) !== undefined

/** What `stty -a` prints, for `terminalModes`. */
export const readSettings = (fd: number): string | undefined => stty(fd, ['-a'])

/** The size of the terminal on `fd`, or undefined when that is none. */
export function readSize(fd: number): { columns: number; rows: number } | undefined {
  const [, rows, columns] = /^(\d+) (\d+)$/.exec(stty(fd, ['size']) ?? '') ?? []
  return rows === undefined ? undefined : { columns: Number(columns), rows: Number(rows) }
}

/** Applies words such as `-icanon` or `intr ^C`. */
export const applySettings = (fd: number, words: string[]): boolean =>
  words.length === 0 || stty(fd, words) !== undefined
