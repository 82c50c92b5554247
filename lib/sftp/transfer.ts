import { Job } from './transfer/job.ts'
import type { TransferEnd, TransferOptions, TransferReport } from './transfer/options.ts'

export {
  type FileProgress,
  type Retry,
  type TransferEnd,
  TransferError,
  type TransferObserver,
  type TransferOptions,
  type TransferReport,
  type TransferStep,
} from './transfer/options.ts'

/**
 * Copies a file, or with `recurse` a directory and all in it, from one file system to another or within one: local,
 * behind an SFTP server, in memory. `target.path` is the name of the copy itself, not of a directory to put it in.
 *
 * It never rejects: failures of single files are told to the observer and are in the report, and the rest goes on.
 */
export function transfer(
  source: TransferEnd,
  target: TransferEnd,
  options: TransferOptions = {},
): Promise<TransferReport> {
  return new Job(source, target, options).run()
}
