import { createRequire } from 'node:module'
import { closeOnExec } from './process.ts'

/** The part of package node-pty that is no JavaScript. */
interface PtyBinary {
  fork(
    file: string,
    args: readonly string[],
    environment: readonly string[],
    directory: string,
    columns: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helperPath: string,
    onExit: (status: number, signal: number) => void,
  ): { fd: number; pid: number; pty: string }
  resize(descriptor: number, columns: number, rows: number): void
}

let loaded: { binary: PtyBinary; helper: string } | undefined

function nodePty(): NonNullable<typeof loaded> {
  if (loaded) return loaded
  const require = createRequire(createRequire(import.meta.url).resolve('node-pty'))
  const folder = `@lydell/node-pty-${process.platform}-${process.arch}`
  const helper = process.platform === 'darwin' ? require.resolve(`${folder}/spawn-helper`) : ''
  loaded = { binary: require(`${folder}/pty.node`) as PtyBinary, helper }
  return loaded
}

/** A new pseudo-terminal: its master side, which is not blocking, the file of its slave side, and who leads its session. */
export interface ForkedPty {
  readonly master: number
  readonly slavePath: string
  readonly pid: number
}

/**
 * Starts a program on a new pseudo-terminal (forkpty(3)), by node-pty's binary. Not by its class: that closes the master as
 * soon as the program has closed its side, which hangs up a program that is about to end by itself, and 200 ms after the
 * program's end, which loses output that has not been read by then.
 *
 * @param exited is called once with the exit status and the number of the signal, 0 when there was none
 * @throws Error when the system has no terminal or no process left
 */
export function forkPty(
  [file, ...args]: readonly [string, ...string[]],
  { directory, environment, columns, rows }: ForkOptions,
  exited: (status: number, signal: number) => void,
): ForkedPty {
  const { binary, helper } = nodePty()
  const words = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  const { fd, pid, pty } = binary.fork(file, args, words, directory, columns, rows, -1, -1, false, helper, exited)
  closeOnExec(fd)
  return { pid, master: fd, slavePath: pty }
}

/** Tells a terminal, by its master side, how large it is. @throws Error when the descriptor is no terminal */
export function resizePty(master: number, columns: number, rows: number): void {
  nodePty().binary.resize(master, columns, rows)
}

export interface ForkOptions {
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
  readonly columns: number
  readonly rows: number
}
