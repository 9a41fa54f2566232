#pragma once

namespace reprise {

// Seconds since this process was started, exec included; the system counts in hundredths. 0 where
// it does not say.
double process_age_s();

}  // namespace reprise
