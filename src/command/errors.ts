import { SshError } from '../../lib/errors.ts'

/** A command ends with this text on stderr (as it is, no program name added; empty for none) and this exit status. */
export class CommandError extends SshError<'command'> {
  readonly exitStatus: number

  constructor(message: string, exitStatus: number, options?: ErrorOptions) {
    super('command', message, options)
    this.exitStatus = exitStatus
  }
}
