// Turns stored values into what a viewer shows: modality transformation, VOI transformation, polarity.
// DICOM PS3.3, C.11.1 (modality), C.11.2 (VOI):
// https://dicom.nema.org/medical/dicom/current/output/html/part03.html
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hearth::images {

/// A LUT Sequence item. Values below the table map to its first entry, values above to its last.
struct DicomLut {
    int first = 0;  ///< the input that the first entry stands for
    int bits = 16;  ///< of each entry
    std::vector<std::uint16_t> entries;
};

enum class WindowShape { linear, linear_exact, sigmoid };

struct DicomWindow {
    double center = 0, width = 1;
    WindowShape shape = WindowShape::linear;
};

/// How the stored values of one image are shown.
struct DicomDisplay {
    int bits_stored = 8;  ///< 1 to 16
    bool is_signed = false;
    double slope = 1, intercept = 0;       ///< used when there is no modality LUT
    std::optional<DicomLut> modality_lut;  ///< stored value to modality value
    std::optional<DicomLut> voi_lut;       ///< preferred to the window, as pydicom does
    std::optional<DicomWindow> window;     ///< the first one of the file
    bool inverted = false;                 ///< MONOCHROME1, or as the Presentation LUT Shape says
    /// Stored values from and to which pixels are padding: no part of the image, and black.
    std::optional<std::pair<int, int>> padding;

    bool is_padding(int stored) const {
        return padding && stored >= padding->first && stored <= padding->second;
    }
};

/// The lowest stored value.
int lowest_stored(const DicomDisplay& display);

/// Brightness (0 black, 65535 white) of each stored value, from lowest_stored() on. Without LUT and window the
/// file leaves the display to the viewer: 8 bits or less show their whole range, more show the range [low,
/// high] of the stored values that this image has (without padding).
std::vector<std::uint16_t> display_table(const DicomDisplay& display, int low, int high);

}  // namespace hearth::images
