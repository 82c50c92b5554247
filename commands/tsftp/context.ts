import type { Attributes } from '../../lib/sftp/attributes.ts'
import { accountNames } from '../../lib/sftp/extensions.ts'
import type { AccountNames } from '../../lib/sftp/filesystem.ts'
import { escapeName } from '../../lib/sftp/glob.ts'
import { joinPath } from '../../lib/sftp/paths.ts'
import type { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { reasonText } from '../../src/sftp/texts.ts'
import { visible } from '../../src/terminal/names.ts'
import type { Names } from './listing.ts'

/** What the command line and the commands agree on. */
export interface Settings {
  /** No words about what is done, only errors. */
  quiet: boolean
  showProgress: boolean
  readonly recurse: boolean
  readonly resume: boolean
  readonly preserve: boolean
  readonly sync: boolean
  readonly blockSize: number | undefined
  readonly maximumRequests: number | undefined
  /** Bytes a second. */
  readonly rate: number | undefined
}

/** A command failed; the text says why, as an error line. Empty: it is said already. */
export class CommandFailure extends Error {}

/** One session with a server: where it is, and how it speaks to its user. */
export class Context {
  /** Of the session that there is now. */
  files: RemoteFileSystem
  /** Begins a session anew after the connection was lost. @throws SshError */
  readonly reconnect: () => Promise<RemoteFileSystem>
  readonly settings: Settings
  /** The remote working directory, and the one at the start: absolute. */
  directory: string
  readonly startDirectory: string
  /** Whether the first error of a command is its end. */
  abortOnError = false
  /** Whether a command runs, which Ctrl-C then ends. */
  state: 'idle' | 'busy' = 'idle'
  /** Aborted by Ctrl-C during a command. */
  interrupted = new AbortController()
  readonly #users = new Map<number, string>()
  readonly #groups = new Map<number, string>()

  constructor(
    files: RemoteFileSystem,
    settings: Settings,
    directory: string,
    reconnect: () => Promise<RemoteFileSystem>,
  ) {
    this.files = files
    this.reconnect = reconnect
    this.settings = settings
    this.directory = directory
    this.startDirectory = directory
  }

  /** Text for stdout; names in it are `visible` already. */
  print(text: string): void {
    process.stdout.write(text)
  }

  error(text: string): void {
    process.stderr.write(`${text}\n`)
  }

  fail(what: string, error: unknown): void {
    this.error(`${what}: ${reasonText(error)}`)
  }

  absolute(path: string): string {
    return joinPath(this.directory, path)
  }

  absolutePattern(pattern: string): string {
    return joinPath(escapeName(this.directory), pattern)
  }

  /** Runs a request; a failure that is the user's affair is told as `what`. */
  async attempt<T>(what: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      if (!(error instanceof SftpError) || error.code === 'connection-lost') throw error
      throw new CommandFailure(`${what}: ${reasonText(error)}`)
    }
  }

  /** Names of the owners of files, where the server tells them; asked for once each. */
  async namesOf(list: readonly (Attributes | undefined)[]): Promise<Names | undefined> {
    if (!this.files.session.has(accountNames)) return undefined
    const missing = (field: 'uid' | 'gid', known: ReadonlyMap<number, string>): number[] =>
      [
        ...new Set(list.map(attributes => attributes?.[field]).filter(id => id !== undefined && !known.has(id))),
      ] as number[]
    const [uids, gids] = [missing('uid', this.#users), missing('gid', this.#groups)]
    if (uids.length + gids.length > 0) {
      const none: AccountNames = { users: [], groups: [] }
      const found = await this.files.accountNames(uids, gids).catch(() => none)
      for (const [index, uid] of uids.entries()) this.#users.set(uid, visible(found.users[index] ?? ''))
      for (const [index, gid] of gids.entries()) this.#groups.set(gid, visible(found.groups[index] ?? ''))
    }
    return { users: this.#users, groups: this.#groups }
  }
}
