#include <zlib.h>

#include "images/import/sets.hpp"

namespace images_mimic_cxr_jpg {

using namespace hearth;
using namespace hearth::images;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

const std::string metadata =
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,"
    "StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_"
    "CodeMeaning\n"
    "02aa804e-bde0afdd,10000032,50414267,CHEST (PA AND LAT),PA,3056,2544,21800506,213014.531,CHEST (PA AND "
    "LAT),"
    "postero-anterior,Erect\n"
    "174413ec-4ec4c1f7,10000032,50414267,CHEST (PA AND LAT),LATERAL,3056,2544,21800506,213014.531,CHEST (PA "
    "AND LAT),"
    "lateral,Erect\n"
    "d3b4c5f6-11112222,11000566,54286132,\"CHEST, PORTABLE\",AP,2544,3056,21310101,101010.1,\"CHEST, "
    "PORTABLE\",,\n"
    "e4c5d6a7-33334444,12000001,51111111,CHEST,,2544,3056,21310101,101010.1,CHEST,,\n";

const std::string chexpert =
    "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung "
    "Lesion,Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices\n"
    "10000032,50414267,,,,,,,,,1.0,,,,,\n"
    "11000566,54286132,-1.0,1.0,,,,,,0.0,,-1.0,,,,1.0\n";

const std::string split =
    "dicom_id,study_id,subject_id,split\n"
    "02aa804e-bde0afdd,50414267,10000032,train\n"
    "174413ec-4ec4c1f7,50414267,10000032,train\n"
    "d3b4c5f6-11112222,54286132,11000566,validate\n"
    "e4c5d6a7-33334444,51111111,12000001,test\n";

const std::string header =
    "path,patient,study,view,projection,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung "
    "Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural "
    "Other,Fracture,Support "
    "Devices,split\n";

void write_gz(const TemporaryFolder& folder, const std::string& name, const std::string& text) {
    const gzFile file = gzopen((folder / name).c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
}

void make(const TemporaryFolder& folder) {
    folder.write("mimic-cxr-2.0.0-metadata.csv", metadata);
    folder.write("mimic-cxr-2.0.0-chexpert.csv", chexpert);
    folder.write("mimic-cxr-2.0.0-split.csv", split);
    touch(folder, {"files/p10/p10000032/s50414267/02aa804e-bde0afdd.jpg",
                   "files/p10/p10000032/s50414267/174413ec-4ec4c1f7.jpg",
                   "files/p11/p11000566/s54286132/d3b4c5f6-11112222.jpg",
                   "files/p12/p12000001/s51111111/e4c5d6a7-33334444.jpg"});
}

}  // namespace

TEST_CASE("MIMIC-CXR-JPG: labels of the study, view and split of the image; uncertain labels are not known") {
    const TemporaryFolder folder;
    make(folder);
    CHECK(manifest_of("mimic-cxr-jpg", folder.path()) ==
          header +
              "files/p10/p10000032/s50414267/"
              "02aa804e-bde0afdd.jpg,10000032,50414267,frontal,PA,1,,,,,,,,,,,,,,train\n"
              "files/p10/p10000032/s50414267/"
              "174413ec-4ec4c1f7.jpg,10000032,50414267,lateral,LATERAL,1,,,,,,,,,,,,,,"
              "train\n"
              "files/p11/p11000566/s54286132/"
              "d3b4c5f6-11112222.jpg,11000566,54286132,frontal,AP,,,1,0,,,,,,,,,,1,val\n"
              "files/p12/p12000001/s51111111/e4c5d6a7-33334444.jpg,12000001,51111111,,,,,,,,,,,,,,,,,test\n");
    CHECK_THAT(notes_of(read_set("mimic-cxr-jpg", folder.path())),
               Contains("1 images belong to studies without"));
}

TEST_CASE("MIMIC-CXR-JPG: uncertain labels become 0, 1 or stay -1 as asked") {
    const TemporaryFolder folder;
    make(folder);
    const auto row_of = [&](Uncertain uncertain) {
        return read_set("mimic-cxr-jpg", folder.path(), {.folder = {}, .uncertain = uncertain})
            .films.at(2)
            .labels;
    };
    CHECK(row_of(Uncertain::zeros) ==
          std::vector<std::string>{"", "", "1", "0", "", "", "", "", "0", "", "0", "", "", "1"});
    CHECK(row_of(Uncertain::ones) ==
          std::vector<std::string>{"", "", "1", "0", "", "", "", "", "1", "", "1", "", "", "1"});
    CHECK(row_of(Uncertain::keep) ==
          std::vector<std::string>{"", "", "1", "0", "", "", "", "", "-1", "", "-1", "", "", "1"});
}

TEST_CASE("MIMIC-CXR-JPG: tables are read as .csv.gz too, and a damaged one is an error") {
    const TemporaryFolder folder, packed;
    make(folder);
    make(packed);
    for (const auto* what : {"metadata", "chexpert", "split"})
        std::filesystem::remove(packed / ("mimic-cxr-2.0.0-" + std::string(what) + ".csv"));
    write_gz(packed, "mimic-cxr-2.0.0-metadata.csv.gz", metadata);
    write_gz(packed, "mimic-cxr-2.0.0-chexpert.csv.gz", chexpert);
    write_gz(packed, "mimic-cxr-2.0.0-split.csv.gz", split);
    CHECK(manifest_of("mimic-cxr-jpg", packed.path()) == manifest_of("mimic-cxr-jpg", folder.path()));

    const std::string bytes = packed.read("mimic-cxr-2.0.0-metadata.csv.gz");
    packed.write("mimic-cxr-2.0.0-metadata.csv.gz", bytes.substr(0, bytes.size() / 2));
    CHECK_THAT(complaint_of("mimic-cxr-jpg", packed.path()), Contains("metadata.csv.gz: cannot be unpacked"));
}

TEST_CASE("MIMIC-CXR-JPG: only the views that are asked for; none is an error that counts those found") {
    const TemporaryFolder folder;
    make(folder);
    auto set = read_set("mimic-cxr-jpg", folder.path());
    keep_views(set, {"frontal"});
    CHECK(set.films.size() == 2);
    CHECK_THAT(notes_of(set),
               Contains("--view frontal left out 2 of 4 films: lateral (1), of unknown view (1)."));
    keep_views(set, {"PA"});
    CHECK(set.films.size() == 1);
    auto all = read_set("mimic-cxr-jpg", folder.path());
    CHECK_THAT(message_of<DataError>([&] { keep_views(all, {"oblique"}); }),
               Contains("--view oblique: found no such film") && Contains("frontal (2)") &&
                   Contains("LATERAL (1)") && Contains("(no view) (1)"));
}

TEST_CASE("MIMIC-CXR-JPG: missing images are an error unless the copy is said to be partial") {
    const TemporaryFolder folder;
    make(folder);
    std::filesystem::remove(folder / "files/p11/p11000566/s54286132/d3b4c5f6-11112222.jpg");
    CHECK_THAT(complaint_of("mimic-cxr-jpg", folder.path()),
               Contains("1 of 4 images") && Contains("d3b4c5f6-11112222.jpg") && Contains("--partial"));
    const auto set = read_set("mimic-cxr-jpg", folder.path(), {.folder = {}, .partial = true});
    CHECK(set.films.size() == 3);
    CHECK_THAT(notes_of(set), Contains("1 of 4 images") && Contains("left out"));
    std::filesystem::remove_all(folder / "files");
    CHECK_THAT(complaint_of("mimic-cxr-jpg", folder.path(), {.folder = {}, .partial = true}),
               Contains("found none of the 4 images") && Contains("files/p10/p10000032"));
}

TEST_CASE("MIMIC-CXR-JPG: missing tables, columns and wrong cells are named") {
    const TemporaryFolder folder;
    make(folder);
    folder.write("mimic-cxr-2.0.0-split.csv", "dicom_id,study_id,subject_id,splits\na,b,c,train\n");
    CHECK_THAT(complaint_of("mimic-cxr-jpg", folder.path()),
               Contains("split.csv:1: no column 'split'") && Contains("did you mean 'splits'"));
    folder.write("mimic-cxr-2.0.0-split.csv", "dicom_id,study_id,subject_id,split\na,b,c,training\n");
    CHECK_THAT(complaint_of("mimic-cxr-jpg", folder.path()), Contains("split.csv:2: found split 'training'"));
    std::filesystem::remove(folder / "mimic-cxr-2.0.0-split.csv");
    CHECK_THAT(complaint_of("mimic-cxr-jpg", folder.path()),
               Contains("expected mimic-cxr-2.0.0-split*.csv (or .csv.gz) of MIMIC-CXR-JPG") &&
                   Contains("found files"));
    folder.write("mimic-cxr-2.0.0-split.csv", split);
    std::string broken = chexpert;
    broken.replace(broken.find("-1.0"), 4, "2.0");
    folder.write("mimic-cxr-2.0.0-chexpert.csv", broken);
    CHECK_THAT(complaint_of("mimic-cxr-jpg", folder.path()),
               Contains("chexpert.csv:3: column 'Atelectasis': found '2.0'; expected 1, 0, -1 or nothing"));
    CHECK_THAT(complaint_of("mimic-cxr-jpg", folder / "absent"), Contains("found no such folder"));
}

}  // namespace images_mimic_cxr_jpg
