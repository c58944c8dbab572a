// Says what two parts of the data have in common: the same files, the same content in other files, the same
// patients. A result on one of them says nothing about new films where the other taught what is measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.hpp"

namespace hearth::data {

/// Images, the column of their patients, and where those were named: `place` is the folder of a table, or the
/// seed of generated images. Two places may call different people alike, so patients are compared within one
/// alone.
struct Part {
    const Dataset& images;
    std::string patient = "patient";
    std::string place;
};

/// How many there are in common, and at most three of them.
struct Shared {
    std::int64_t count = 0;
    std::vector<std::string> examples;
};

/// `files`: the same file, also by another name or link. `contents`: another file of the same bytes. `patients`
/// counts patients, the other two images.
struct Overlap {
    Shared files, contents, patients;
    std::int64_t images = 0;  ///< of the second part, for any of the reasons
    std::int64_t of = 0;      ///< images of the second part

    bool any() const { return images > 0; }
    /// "2 same files (a.png, b.png), 1 file of the same content (d.png like c.png), 1 same patient (P1)".
    std::string text() const;
};

/// What of `second` is in `first` too. Files are read only where their sizes agree, and to their end only where
/// a sample of their bytes does. A cell without a patient says nothing.
Overlap overlap(const Part& first, const Part& second);

/// The images of a part that are there before under another patient, whom no division by patient keeps
/// together; `patients` is empty. `numbers` holds a number for the patient of each image.
Overlap repeated(const Part& part, const std::vector<int>& numbers);

}  // namespace hearth::data
