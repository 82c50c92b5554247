import { spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type Account, findAccount } from '../../src/net/accounts.ts'
import { checkStrictModes } from '../../src/openssh/files.ts'
import { splitArguments } from '../../src/openssh/lexer.ts'
import { expandTokens, type Tokens } from '../../src/openssh/tokens.ts'

/** AuthorizedKeysCommand or AuthorizedPrincipalsCommand, as configured. */
export interface AuthorityCommand {
  /** The keyword, for the log. */
  readonly name: string
  readonly command: string
  /** The configured user, perhaps with tokens. */
  readonly user: string | undefined
  /** The account that wants to log in. */
  readonly account: Account
  readonly tokens: Tokens
  /** Given to a command that has no arguments of its own. */
  readonly onlyArgument?: string
  readonly log: Log
}

/** Most bytes of a command's output that are read, and how long it may run, in milliseconds. */
const outputLimit = 16 * 1024 * 1024
const timeLimit = 120_000

/** The output of a command that ended well, as latin1. Whatever goes wrong is logged, and means no keys. */
export async function runAuthorityCommand(settings: AuthorityCommand): Promise<string | undefined> {
  const { name, command, account, log } = settings
  if (settings.user === undefined) {
    log.error(`No user for ${name} specified, skipping`)
    return undefined
  }
  try {
    const userName = expandTokens(settings.user, { u: account.name })
    const runAs = findAccount(userName)
    if (!runAs) throw new Error(`${name}User "${userName}" not found`)
    const words = splitArguments(command, { comments: false })
    if (!words) throw new Error(`${name} "${command}" contains invalid quotes`)
    const [program, ...args] = words
    if (program === undefined) throw new Error(`${name} "${command}" yielded no arguments`)
    const expanded = args.map(arg => expandTokens(arg, settings.tokens))
    if (expanded.length === 0 && settings.onlyArgument !== undefined) expanded.push(settings.onlyArgument)
    checkProgram(name, program)
    return await outputOf(name, program, expanded, runAs)
  } catch (error) {
    log.error(messageOf(error))
    return undefined
  }
}

/** It runs with another user's rights on behalf of strangers: nobody but root may have been able to change it. */
function checkProgram(name: string, program: string): void {
  if (!program.startsWith('/')) throw new Error(`${name} path is not absolute`)
  if (!statSync(program, { throwIfNoEntry: false })) throw new Error(`Could not stat ${name} "${program}"`)
  const problem = checkStrictModes(program, '/', 0)
  if (problem) throw new Error(`Unsafe ${name} "${program}": ${problem.replace(/^Authentication refused: /, '')}`)
}

function outputOf(name: string, program: string, args: readonly string[], user: Account): Promise<string> {
  const own = process.geteuid?.()
  if (own !== 0 && own !== user.uid) throw new Error(`${name} cannot run as ${user.name}: the server is not root`)
  const { LANG } = process.env
  const child = spawn(program, [...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    cwd: '/',
    env: {
      PATH: '/usr/bin:/bin:/usr/sbin:/sbin',
      USER: user.name,
      LOGNAME: user.name,
      HOME: user.home,
      ...(LANG !== undefined && { LANG }),
    },
    ...(own === 0 && user.uid !== 0 && { uid: user.uid, gid: user.gid }),
    timeout: timeLimit,
    killSignal: 'SIGKILL',
  })
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let size = 0
    child.stdout.on('data', (piece: Buffer) => {
      size += piece.length
      if (size <= outputLimit) pieces.push(piece)
      else child.kill('SIGKILL')
    })
    child.on('error', error => reject(new Error(`${name} ${program}: ${error.message}`)))
    child.on('close', (status, signal) => {
      if (status === 0) resolve(Buffer.concat(pieces).toString('latin1'))
      else reject(new Error(`${name} ${program} ${signal ? `exited on signal ${signal}` : `failed, status ${status}`}`))
    })
  })
}
