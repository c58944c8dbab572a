#include "images/import/sets.hpp"

namespace images_nih_cxr14 {

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

// The header as distributed: two names hold a comma, so that they make two columns each, and there is a comma
// at the end.
const std::string header =
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View "
    "Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n";
const std::string rows =
    "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
    "00000001_001.png,Cardiomegaly|Emphysema,1,1,058Y,M,PA,2894,2729,0.143,0.143,\n"
    "00000002_000.png,No Finding,0,2,081Y,F,AP,2500,2048,0.171,0.171,\n"
    "00000003_000.png,Pleural_Thickening|Hernia,0,3,003M,F,PA,2582,2991,0.143,0.143\n";

const std::string manifest =
    "path,patient,view,projection,sex,age,Atelectasis,Cardiomegaly,Effusion,Infiltration,Mass,Nodule,Pneumonia,"
    "Pneumothorax,Consolidation,Edema,Emphysema,Fibrosis,Pleural_Thickening,Hernia,split\n"
    "images_001/images/00000001_000.png,1,frontal,PA,M,58,0,1,0,0,0,0,0,0,0,0,0,0,0,0,train\n"
    "images_001/images/00000001_001.png,1,frontal,PA,M,58,0,1,0,0,0,0,0,0,0,0,1,0,0,0,train\n"
    "images_002/images/00000002_000.png,2,frontal,AP,F,81,0,0,0,0,0,0,0,0,0,0,0,0,0,0,test\n"
    "images_012/images/00000003_000.png,3,frontal,PA,F,0,0,0,0,0,0,0,0,0,0,0,0,0,1,1,test\n";

void make(const TemporaryFolder& folder) {
    folder.write("Data_Entry_2017.csv", header + rows);
    folder.write("train_val_list.txt", "00000001_000.png\r\n00000001_001.png\r\n");
    folder.write("test_list.txt", "00000002_000.png\n00000003_000.png");
    touch(folder, {"images_001/images/00000001_000.png", "images_001/images/00000001_001.png",
                   "images_002/images/00000002_000.png", "images_012/images/00000003_000.png"});
}

}  // namespace

TEST_CASE("NIH ChestX-ray14: findings become columns, twelve folders of images one set, two lists the split") {
    const TemporaryFolder folder;
    make(folder);
    CHECK(manifest_of("nih-cxr14", folder.path()) == manifest);
}

TEST_CASE("NIH ChestX-ray14: the table of 2020 says Patient Sex and plain years") {
    const TemporaryFolder folder;
    make(folder);
    std::filesystem::remove(folder / "Data_Entry_2017.csv");
    std::string text = header + rows;
    const auto replace = [&text](const std::string& from, const std::string& to) {
        for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
            text.replace(at, from.size(), to);
    };
    replace("Patient Gender", "Patient Sex");
    replace(",\n", "\n");
    replace("058Y", "58");
    replace("081Y", "81");
    folder.write("Data_Entry_2017_v2020.csv", text);
    CHECK(manifest_of("nih-cxr14", folder.path()) == manifest);
}

TEST_CASE("NIH ChestX-ray14: the list of boxes comes along, on other films they are not known") {
    const TemporaryFolder folder;
    make(folder);
    folder.write("BBox_List_2017.csv",
                 "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
                 "00000001_000.png,Cardiomegaly,225.084745762712,547.0,86.7796610169492,79.5,,,\n"
                 "00000003_000.png,Infiltrate,1,2,3,4,,,\n"
                 "00000001_000.png,Mass,5,6,7,8,,,\n");
    auto set = read_set("nih-cxr14", folder.path());
    CHECK(set.films[0].boxes == "225.084745762712 547 86.7796610169492 79.5; 5 6 7 8");
    CHECK(set.films[1].boxes.empty());
    CHECK(set.films[3].boxes == "1 2 3 4");
    note_boxes(set);
    CHECK_THAT(notes_of(set), Contains("2 films have boxes; on all others what is where is not known"));
    auto kept = read_set("nih-cxr14", folder.path());
    kept.films.back().view = "lateral";
    keep_views(kept, {"frontal"});
    note_boxes(kept);
    CHECK_THAT(notes_of(kept), Contains("1 film has boxes; on all others") && !Contains("2 films have"));
    folder.write("BBox_List_2017.csv",
                 "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Mass,5,,7,8,,,\n");
    CHECK_THAT(complaint_of("nih-cxr14", folder.path()), Contains("2017.csv:2: found '' for a box"));
}

TEST_CASE("NIH ChestX-ray14: ages that nobody has count as not known, with a note") {
    const TemporaryFolder folder;
    make(folder);
    folder.write("Data_Entry_2017.csv", header +
                                            "00000001_000.png,Mass,0,1,414Y,M,PA,1,1,1,1,\n"
                                            "00000001_001.png,Mass,1,1,120Y,M,PA,1,1,1,1,\n"
                                            "00000002_000.png,Mass,1,2,-3,M,AP,1,1,1,1,\n");
    auto set = read_set("nih-cxr14", folder.path()), frontal = set;
    forget_impossible_ages(set);
    CHECK(set.films[0].age.empty());
    CHECK(set.films[1].age == "120");
    CHECK(set.films[2].age.empty());
    CHECK_THAT(notes_of(set),
               Contains("2 of 3 films have an age that is none from 0 to 120 years, such as -3"));
    // Those that --view leaves out do not count.
    frontal.films[0].view = frontal.films[2].view = "lateral";
    keep_views(frontal, {"frontal"});
    forget_impossible_ages(frontal);
    CHECK_THAT(notes_of(frontal), !Contains("none from 0 to 120"));
}

TEST_CASE("NIH ChestX-ray14: without both lists there is no official split, with one of them it is an error") {
    const TemporaryFolder folder;
    make(folder);
    std::filesystem::remove(folder / "test_list.txt");
    CHECK_THAT(complaint_of("nih-cxr14", folder.path()), Contains("found only train_val_list.txt"));
    std::filesystem::remove(folder / "train_val_list.txt");
    const auto set = read_set("nih-cxr14", folder.path());
    CHECK(set.films.front().split.empty());
    CHECK_THAT(notes_of(set), Contains("no official split"));
}

TEST_CASE("NIH ChestX-ray14: an unknown finding and missing images are errors") {
    const TemporaryFolder folder;
    make(folder);
    std::filesystem::remove(folder / "images_002/images/00000002_000.png");
    CHECK_THAT(complaint_of("nih-cxr14", folder.path()),
               Contains("1 of 4 images") && Contains("00000002_000.png"));
    CHECK(read_set("nih-cxr14", folder.path(), {.folder = {}, .partial = true}).films.size() == 3);
    folder.write("Data_Entry_2017.csv",
                 header + "00000001_000.png,Cardiomegaly|Effusions,0,1,058Y,M,PA,1,1,1,1,\n");
    CHECK_THAT(complaint_of("nih-cxr14", folder.path()), Contains("csv:2") && Contains("found 'Effusions'"));
    folder.write("Data_Entry_2017.csv", "Image,Labels\na,b\n");
    CHECK_THAT(complaint_of("nih-cxr14", folder.path()),
               Contains("no column 'Image Index'") && Contains("found Image, Labels"));
}

}  // namespace images_nih_cxr14
