namespace LibSeed
{
    /// <summary>Why a run or the filling of a bank returned.</summary>
    public enum Outcome
    {
        /// <summary>The last step of the run was made.</summary>
        Finished = 0,
        /// <summary>The given number of steps was made; more are left.</summary>
        Paused = 1,
        /// <summary>A <see cref="CancelToken"/> ended the call after a whole step.</summary>
        Cancelled = 2,
    }
}
