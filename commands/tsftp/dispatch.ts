import { SftpError } from '../../lib/sftp/status.ts'
import { visible } from '../../src/terminal/names.ts'
import { CommandFailure, type Context } from './context.ts'
import { help } from './help.ts'
import * as local from './local-commands.ts'
import * as remote from './remote-commands.ts'
import { download, upload } from './transfers.ts'
import { type Command, parseCommand } from './verbs.ts'

/** How a line ended: `failed` only where a failure ends the batch. */
export type Outcome = 'go on' | 'quit' | 'failed'

export interface LineOptions {
  /** The first command that fails ends the session (-b). */
  readonly isBatch: boolean
  /** Print the line before it is obeyed. */
  readonly echo: boolean
}

/** Obeys one line. @throws SftpError connection-lost, ProtocolError */
export async function obey(context: Context, line: string, { isBatch, echo }: LineOptions): Promise<Outcome> {
  const { prefixes, command } = parseCommand(line)
  if (echo && !prefixes.quiet) context.print(`sftp> ${visible(line)}\n`)
  const abort = isBatch && !prefixes.ignoreErrors
  if (!command) return 'go on'
  context.abortOnError = abort
  context.interrupted = new AbortController()
  context.state = 'busy'
  try {
    if ('problem' in command) throw new CommandFailure(command.problem)
    if (command.action === 'quit') return 'quit'
    await perform(context, command)
    return 'go on'
  } catch (error) {
    if (!(error instanceof CommandFailure) && !(error instanceof SftpError && error.code !== 'connection-lost'))
      throw error
    if (error instanceof SftpError) context.fail('Failure', error)
    else if (error.message !== '') context.error(error.message)
    return abort ? 'failed' : 'go on'
  } finally {
    context.state = 'idle'
  }
}

async function perform(context: Context, command: Command): Promise<void> {
  const { action, paths, flags, rest, number } = command
  switch (action) {
    case 'get':
    case 'reget':
      return download(context, command)
    case 'put':
    case 'reput':
      return upload(context, command)
    case 'ls':
      return remote.list(context, command).catch(error => {
        // Without a path, a failure is only told.
        if (paths.length > 0 || !(error instanceof CommandFailure)) throw error
        context.error(error.message)
      })
    case 'cd':
      return remote.changeDirectory(context, paths)
    case 'chmod':
    case 'chown':
    case 'chgrp':
      return remote.changeAttributes(context, command)
    case 'copy':
      return remote.copy(context, paths)
    case 'df':
      return remote.diskUsage(context, command)
    case 'link':
      return remote.link(context, paths, flags.has('s'))
    case 'symlink':
      return remote.link(context, paths, true)
    case 'mkdir':
      return remote.makeDirectory(context, paths)
    case 'rmdir':
      return remote.removeDirectory(context, paths)
    case 'rename':
      return remote.rename(context, command)
    case 'rm':
      return remote.remove(context, paths)
    case 'pwd':
      return context.print(`Remote working directory: ${visible(context.directory)}\n`)
    case 'version':
      return context.print(`SFTP protocol version ${context.files.session.version}\n`)
    case 'progress':
      context.settings.showProgress = !context.settings.showProgress
      return context.print(`Progress meter ${context.settings.showProgress ? 'enabled' : 'disabled'}\n`)
    case 'help':
      return context.print(help)
    case 'lcd':
      return local.changeLocalDirectory(paths)
    case 'lmkdir':
      return local.makeLocalDirectory(paths)
    case 'lpwd':
      return local.printLocalDirectory(context)
    case 'lumask':
      return local.setUmask(context, number)
    case 'lls':
      return local.listLocal(context, rest)
    case 'shell':
      return local.runShell(context, rest)
  }
}
