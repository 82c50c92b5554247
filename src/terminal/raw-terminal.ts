import { readSettings, readSize, restoreSettings, saveSettings, setRaw } from './stty.ts'

/** The terminal on a file descriptor, made raw for a remote shell and restored whatever happens. */
export interface RawTerminal {
  readonly isRaw: boolean
  enter(): void
  leave(): void
}

/** @returns undefined when `fd` is no terminal. */
export function rawTerminal(fd: number): RawTerminal | undefined {
  const saved = saveSettings(fd)
  if (saved === undefined) return undefined
  let raw = false
  const leave = () => {
    if (!raw) return
    raw = false
    process.off('exit', leave)
    restoreSettings(fd, saved)
  }
  return {
    get isRaw() {
      return raw
    },
    enter() {
      if (raw) return
      raw = setRaw(fd)
      // Runs for process.exit and for uncaught errors alike.
      if (raw) process.on('exit', leave)
    },
    leave,
  }
}

export { readSettings, readSize }
