import { readFileSync } from 'node:fs'
import type { SftpServerOptions } from '../../lib/sftp/server.ts'
import { syslogFacilities } from '../openssh/values.ts'

/** Flags of sftp-server(8), which `internal-sftp` takes too. */
export interface SftpServerFlags {
  /** `-d`: where relative paths begin, its tokens not yet replaced. */
  readonly startDirectory: string | undefined
  /** `-f`, `-l`: where and how much is logged. */
  readonly facility: string | undefined
  readonly logLevel: string | undefined
  /** `-e`: log to stderr. */
  readonly logToStderr: boolean
  /** `-u`: the umask. */
  readonly umask: number | undefined
  /** `-Q requests`: print the names of requests and do nothing else. */
  readonly queryRequests: boolean
  /** `-R`, `-p`, `-P` as the engine takes them. */
  readonly server: Pick<SftpServerOptions, 'readOnly' | 'allowed' | 'denied'>
}

/** Words of sshd_config's LogLevel. */
const logLevels = ['QUIET', 'FATAL', 'ERROR', 'INFO', 'VERBOSE', 'DEBUG', 'DEBUG1', 'DEBUG2', 'DEBUG3']

const withArgument = 'dflPpQu'

/** Reads the words after the program's name. A string says what is wrong; `usage` asks for the usage. */
export function parseSftpServerFlags(words: readonly string[]): SftpServerFlags | { readonly problem: string } {
  const values = new Map<string, string>()
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    if (word === '--') break
    if (!/^-./.test(word)) break
    for (let index = 1; index < word.length; index++) {
      const flag = word[index]!
      if (!withArgument.includes(flag) && !'cehR'.includes(flag)) return { problem: 'usage' }
      let value = ''
      if (withArgument.includes(flag)) {
        const rest = word.slice(index + 1)
        const argument = rest === '' ? words[++at] : rest
        if (argument === undefined) return { problem: 'usage' }
        value = argument
        index = word.length
      }
      if (flag === 'h') return { problem: 'usage' }
      if ((flag === 'p' || flag === 'P') && values.has(flag))
        return { problem: `${flag === 'p' ? 'Permitted' : 'Refused'} requests already set` }
      values.set(flag, value)
      // As a login shell (`sftp-server -c command`) it ignores what follows.
      if (flag === 'c') return interpret(values)
    }
  }
  return interpret(values)
}

function interpret(values: ReadonlyMap<string, string>): SftpServerFlags | { readonly problem: string } {
  const umask = values.get('u')
  if (umask !== undefined && !/^0*[0-7]{1,3}$/.test(umask)) return { problem: `Invalid umask "${umask}"` }
  const level = values.get('l')?.toUpperCase()
  if (level !== undefined && !logLevels.includes(level)) return { problem: `Invalid log level "${values.get('l')}"` }
  const facility = values.get('f')?.toUpperCase()
  if (facility !== undefined && !syslogFacilities.some(name => name === facility))
    return { problem: `Invalid log facility "${values.get('f')}"` }
  const query = values.get('Q')
  if (query !== undefined && query.toLowerCase() !== 'requests') return { problem: 'Invalid query type' }
  const list = (flag: string): readonly string[] | undefined => values.get(flag)?.split(',')
  const [allowed, denied] = [list('p'), list('P')]
  return {
    startDirectory: values.get('d'),
    facility,
    logLevel: level,
    logToStderr: values.has('e'),
    umask: umask === undefined ? undefined : Number.parseInt(umask, 8),
    queryRequests: query !== undefined,
    server: { readOnly: values.has('R'), ...(allowed && { allowed }), ...(denied && { denied }) },
  }
}

/** Most files and directories that a client may have open. */
const mostHandles = 1000
/** Descriptors that the process itself may need. */
const ownDescriptors = 32

/** How many handles a server of this process may give out: what is promised must be there. */
export function handleLimit(): number {
  try {
    const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
    return limit === undefined ? mostHandles : Math.max(1, Math.min(mostHandles, Number(limit) - ownDescriptors))
  } catch {
    return mostHandles
  }
}

/** Splits a command line as sshd does for `internal-sftp`: blanks, quotes and backslashes. */
export function splitWords(line: string): string[] {
  const words: string[] = []
  let word: string | undefined
  let quote = ''
  for (let at = 0; at < line.length; at++) {
    const c = line[at]!
    if (c === '\\' && /["'\\ ]/.test(line[at + 1] ?? '')) word = (word ?? '') + line[++at]
    else if (quote !== '') {
      if (c === quote) quote = ''
      else word += c
    } else if (c === '"' || c === "'") {
      quote = c
      word ??= ''
    } else if (c === ' ' || c === '\t') {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = (word ?? '') + c
  }
  if (word !== undefined) words.push(word)
  return words
}
